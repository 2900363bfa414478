"""Which picture is in which slot of a batch that is under way, as the host knows it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Lowered

from fidojax.engine import programs
from fidojax.engine.programs import Batch, Model, Program, Slots

CHUNK = 50
"""Steps per compiled call on accelerators."""
CPU_CHUNK = 10
"""On CPUs, where a step takes longer and its end is soon waited for. XLA takes the memory of a call
anew from the system, which clears it, so that single steps take up to half as long again."""


def longest_chunk(rewritten: bool) -> int:
    """Steps per compiled call at most.

    Args:
        rewritten: whether the classifier is in its fast form for the CPU.
    """
    if jax.default_backend() != "cpu":
        return CHUNK
    # JAX's own convolution gradients fall into a slow path of XLA's inside loops there.
    return CPU_CHUNK if rewritten else 1


def pace(steps: int, chunk: int, every: int | None = None) -> tuple[int, int]:
    """Steps per compiled call, and calls until the host looks again.

    Args:
        steps: of the method.
        chunk: at most so many in a call, as far as `every` leaves the choice.
        every: steps between two looks, where that is fixed.
    """
    if chunk == 1:
        return 1, every or 1
    return every or -(-steps // -(-steps // chunk)), 1


class Ended(NamedTuple):
    """Pictures whose optimisation has ended.

    Attributes:
        numbers: which.
        rows: of the result.
        result: explanations on the devices, with a leading axis of slots.
    """

    numbers: list[int]
    rows: np.ndarray
    result: Any


class SlotTable:
    """The slots of an iterative method on one device.

    Where only some pictures have ended they are put aside, so that the next ones take their slots,
    and are read out when as many have come together as there are slots.
    """

    def __init__(self, program: Program, model: Model, width: int, chunk: int) -> None:
        """A table of so many slots, all of them vacant.

        Args:
            chunk: as `longest_chunk` returns it.
        """
        self._program, self._model, self._most = program, model, chunk
        self._numbers = np.full(width, -1)
        self._counts = np.zeros(width, int)
        self._aside: list[int] = []
        self._slots: Slots = None  # type: ignore[assignment]
        self._pool: Slots | None = None
        self._flags: list[Any] = []
        self._steps = self._chunk = self._calls = 1

    @property
    def vacant(self) -> np.ndarray:
        """Slots without a picture."""
        return np.flatnonzero(self._numbers < 0)

    @property
    def width(self) -> int:
        """How many slots there are."""
        return len(self._numbers)

    @property
    def busy(self) -> bool:
        """Whether there are pictures in the slots."""
        return bool((self._numbers >= 0).any())

    @property
    def left(self) -> float:
        """What is still to be done, in pictures."""
        counts = self._counts[self._numbers >= 0]
        return float(np.sum(1 - np.minimum(counts / self._steps, 1)))

    def seat(self, numbers: list[int], rows: np.ndarray, batch: Batch) -> None:
        """Put pictures into vacant slots.

        Args:
            numbers: which.
            rows: their slots.
            batch: of all slots, the pictures at theirs.
        """
        new = programs.begin(self._program, self._model, batch)
        if self.busy:
            new = self._moved(self._slots, new, rows, rows)
        else:
            self._set_pace(batch)
        self._slots = new
        self._numbers[rows], self._counts[rows] = numbers, 0

    def lower(self) -> Lowered:
        """The program of a chunk of steps of pictures that are seated."""
        return programs.advance.lower(self._program, self._model, self._slots, length=self._chunk)

    def advance(self) -> Any:
        """Start a chunk of steps; an array that is there when the one before it has ended."""
        for _ in range(self._calls):
            self._slots, flags = programs.advance(
                self._program, self._model, self._slots, length=self._chunk
            )
        self._counts += self._chunk * self._calls
        self._flags = [*self._flags[-1:], flags]
        return self._flags[0]

    def collect(self) -> list[Ended]:
        """What there is to hand out since pictures have ended."""
        seated = self._numbers >= 0
        if self._program.every:
            ended = seated & np.asarray(self._flags[-1])
        else:
            ended = seated & (self._counts >= self._steps)
        rows = np.flatnonzero(ended)
        numbers = self._numbers[rows].tolist()
        self._numbers[rows] = -1
        if not numbers:
            return []
        if len(numbers) == seated.sum() and not self._aside:
            result = programs.readout(self._program, self._model, self._slots)
            return [Ended(numbers, rows, result)]
        full = len(self._aside) + len(numbers) > len(self._numbers)
        out = self.flush() if full else []
        pool: Slots = self._pool or jax.tree.map(jnp.copy, self._slots)
        places = len(self._aside) + np.arange(len(numbers))
        self._pool = self._moved(pool, self._slots, rows, places)
        self._aside += numbers
        return out

    def flush(self) -> list[Ended]:
        """Read out what was put aside."""
        if not self._aside:
            return []
        assert self._pool is not None
        numbers, self._aside = self._aside, []
        result = programs.readout(self._program, self._model, self._pool)
        return [Ended(numbers, np.arange(len(numbers)), result)]

    def _set_pace(self, batch: Batch) -> None:
        """How many steps there are, and how many of them per call, at the first batch."""
        each = jax.tree.map(lambda leaf: leaf[0], batch.each)
        self._steps = self._program.loop(self._model.options, each).steps
        self._chunk, self._calls = pace(self._steps, self._most, self._program.every)

    def _moved(self, to: Slots, source: Slots, rows: np.ndarray, places: np.ndarray) -> Slots:
        """`to` with the source's rows at its places."""
        width = self.width
        take, put = np.zeros(width, np.int32), np.full(width, width, np.int32)
        take[: len(rows)], put[: len(rows)] = rows, places
        return programs.move(to, source, take, put)
