"""The slots of continuous batching: which picture runs in which slot of a batch."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.engine import programs
from fidojax.engine.memory import known_bytes
from fidojax.engine.programs import Batch, Model, Program, Slots

STEPS_PER_CALL = 50
"""The largest number of steps per compiled call on accelerators."""
CPU_STEPS_PER_CALL = 10
"""The same on CPUs, where a step takes longer. For every call XLA takes its memory anew from the
system, which clears it: with single steps a run takes up to half as long again."""


def most_steps_per_call(rewritten: bool) -> int:
    """The largest number of steps per compiled call.

    Args:
        rewritten: whether the classifier is in its fast form for the CPU.
    """
    if jax.default_backend() != "cpu":
        return STEPS_PER_CALL
    # Inside loops, XLA's CPU backend runs JAX's own convolution gradients on a slow path.
    return CPU_STEPS_PER_CALL if rewritten else 1


def pace(steps: int, most: int, every: int | None = None) -> tuple[int, int]:
    """Return the number of steps per compiled call, and of calls between two checks by the host.

    Args:
        steps: the method's number of steps.
        most: the largest number of steps per call.
        every: steps between two checks of early stopping; None without it.
    """
    if most == 1:
        return 1, every or 1
    return every or -(-steps // -(-steps // most)), 1


class Ended(NamedTuple):
    """Pictures whose optimisation has ended.

    Attributes:
        numbers: their numbers in the stream.
        rows: their rows in `result`.
        result: explanations on the device, leaves with a leading axis of slots.
    """

    numbers: list[int]
    rows: np.ndarray
    result: Any


class SlotTable:
    """The slots of an iterative method in one of the concurrent calls.

    When some pictures have ended while others still run, their states move to a pool and free
    their slots for the next pictures. The pool is read out when it is full.

    Args:
        program: the static part of the request.
        model: the traced part of the request, at its place.
        width: the number of slots.
        most: the largest number of steps per compiled call.
    """

    def __init__(self, program: Program, model: Model, width: int, most: int) -> None:
        self._program, self._model, self._most = program, model, most
        self._numbers = np.full(width, -1)
        self._counts = np.zeros(width, int)
        self._pooled: list[int] = []
        self._slots: Slots = None  # type: ignore[assignment]
        self._pool: Slots | None = None
        self._done: list[Any] = []
        self._steps = self._steps_per_call = self._calls = 1

    @property
    def free(self) -> np.ndarray:
        """The slots without a picture."""
        return np.flatnonzero(self._numbers < 0)

    @property
    def width(self) -> int:
        """The number of slots."""
        return len(self._numbers)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the pictures in the slots."""
        return self._numbers[self._numbers >= 0].tolist()

    @property
    def active(self) -> bool:
        """Whether any slot holds a picture."""
        return bool((self._numbers >= 0).any())

    @property
    def remaining(self) -> float:
        """The work that remains in the slots, in pictures."""
        counts = self._counts[self._numbers >= 0]
        return float(np.sum(1 - np.minimum(counts / self._steps, 1)))

    def admit(self, numbers: list[int], rows: np.ndarray, batch: Batch) -> None:
        """Put pictures into free slots.

        Args:
            numbers: the pictures' numbers in the stream.
            rows: their slots.
            batch: as wide as the table, with the pictures in their slots.
        """
        new = programs.begin(self._program, self._model, batch)
        if self.active:
            new = self._moved(self._slots, new, rows, rows)
        else:
            self._set_pace(batch)
        self._slots = new
        self._numbers[rows], self._counts[rows] = numbers, 0

    def needed_bytes(self) -> int | None:
        """The bytes of one call on the present slots; None if the backend has no analysis."""
        lower = partial(
            programs.advance.lower, self._program, self._model, self._slots,
            length=self._steps_per_call,
        )  # fmt: skip
        static = "advance", self._program, self._steps_per_call
        return known_bytes(static, (self._model, self._slots), lower)

    def advance(self) -> Any:
        """Start the next steps; return an array that is ready when the call before has finished."""
        for _ in range(self._calls):
            self._slots, done = programs.advance(
                self._program, self._model, self._slots, length=self._steps_per_call
            )
        self._counts += self._steps_per_call * self._calls
        self._done = [*self._done[-1:], done]
        return self._done[0]

    def collect(self) -> list[Ended]:
        """Free the slots of pictures that have ended; return the results that can be fetched."""
        occupied = self._numbers >= 0
        if self._program.every:
            ended = occupied & np.asarray(self._done[-1])
        else:
            ended = occupied & (self._counts >= self._steps)
        rows = np.flatnonzero(ended)
        numbers = self._numbers[rows].tolist()
        self._numbers[rows] = -1
        if not numbers:
            return []
        if len(numbers) == occupied.sum() and not self._pooled:
            result = programs.readout(self._program, self._model, self._slots)
            return [Ended(numbers, rows, result)]
        full = len(self._pooled) + len(numbers) > len(self._numbers)
        out = self.flush() if full else []
        pool: Slots = self._pool or jax.tree.map(jnp.copy, self._slots)
        put = len(self._pooled) + np.arange(len(numbers))
        self._pool = self._moved(pool, self._slots, rows, put)
        self._pooled += numbers
        return out

    def flush(self) -> list[Ended]:
        """Read the pool out."""
        if not self._pooled:
            return []
        assert self._pool is not None
        numbers, self._pooled = self._pooled, []
        result = programs.readout(self._program, self._model, self._pool)
        return [Ended(numbers, np.arange(len(numbers)), result)]

    def _set_pace(self, batch: Batch) -> None:
        """Set the number of steps in all and per call."""
        each = jax.tree.map(lambda leaf: leaf[0], batch.each)
        self._steps = self._program.loop(self._model.options, each).steps
        self._steps_per_call, self._calls = pace(self._steps, self._most, self._program.every)

    def _moved(self, to: Slots, source: Slots, rows: np.ndarray, put: np.ndarray) -> Slots:
        """Return `to` with the source's slots `rows` copied into its slots `put`."""
        width = self.width
        # Of one length for every call, so that one program does; `width` is no slot.
        taken, placed = np.zeros(width, np.int32), np.full(width, width, np.int32)
        taken[: len(rows)], placed[: len(rows)] = rows, put
        return programs.move(to, source, taken, placed)
