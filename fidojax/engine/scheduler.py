"""Any number of pictures through one compiled program, in fixed memory, on all local devices.

The host only deals pictures out, starts compiled chunks of steps and fetches finished maps, one
chunk behind, so that the devices do not wait for it.
"""

import collections
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Sharding
from jax.stages import Lowered

from fidojax.engine import programs
from fidojax.engine.keys import image_keys
from fidojax.engine.memory import calls_that_fit, needed_bytes
from fidojax.engine.programs import Batch, Model, Program
from fidojax.engine.slots import Ended, SlotTable
from fidojax.engine.threads import CallThreads
from fidojax.types import Device, Explanation


class Sample(NamedTuple):
    """A picture to be explained.

    Attributes:
        id: an integer or a string; its randomness depends on this and the seed alone.
        image: "h w c", values in [0, 1].
        target: the class to explain.
        each: the options that differ per picture.
    """

    id: int | str
    image: np.ndarray
    target: int
    each: Mapping[str, Any] = {}


Finished = tuple[list[int], Explanation]
"""Which samples, counted from 0, and their explanations, NumPy leaves with a leading axis."""


class _Feed:
    """The samples in order, each until its explanation has been handed out."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._left = enumerate(samples)
        self._out: dict[int, Sample] = {}
        self._again: collections.deque[tuple[int, Sample]] = collections.deque()
        self.finished = 0

    @property
    def taken(self) -> int:
        """How many were taken so far, finished ones included."""
        return self.finished + len(self._out)

    def take(self, count: int) -> dict[int, Sample]:
        """At most so many, by their number."""
        taken = dict(itertools.islice(itertools.chain(_popped(self._again), self._left), count))
        self._out |= taken
        return taken

    def hand_out(self, numbers: list[int]) -> None:
        """They need not be explained again."""
        for number in numbers:
            del self._out[number]
        self.finished += len(numbers)

    def put_back(self) -> None:
        """What was taken and not handed out comes next."""
        self._again.extendleft(sorted(self._out.items(), reverse=True))
        self._out = {}


def _popped(queue: collections.deque) -> Iterator[Any]:
    while queue:
        yield queue.popleft()


class Driver(NamedTuple):
    """What the host needs to know.

    Attributes:
        program: of the compiled programs.
        models: one for each call that is under way at a time, at the place of the call.
        places: as many, where the arrays of each call are.
        threads: that start the calls; where there are several, fewer calls are under way if memory
            is short.
        seed: of the run.
        iterative: whether the method has steps.
        chunk: at most so many steps per compiled call.
        progress: called with the pictures done so far, parts of them included.
    """

    program: Program
    models: Sequence[Model]
    places: Sequence[Device | Sharding]
    threads: int
    seed: int
    iterative: bool
    chunk: int
    progress: Callable[[float], None] | None = None


def stream(
    driver: Driver,
    samples: Iterable[Sample],
    batch_size: int,
    smaller: Callable[[int], None] | None = None,
) -> Iterator[Finished]:
    """The explanations of all samples, in groups, as they get finished.

    Where a device has not enough memory, half as many pictures at once go on from there.

    Args:
        batch_size: pictures per compiled call.
        smaller: told the new batch size when memory was short; a warning when None.

    Raises:
        jax.errors.JaxRuntimeError: memory is short for one picture; or anything else went wrong.
    """
    feed = _Feed(samples)
    drive = _iterate if driver.iterative else _shoot
    while True:
        try:
            with CallThreads(driver.threads) as started:
                yield from drive(driver, feed, batch_size, started)
            return
        except jax.errors.JaxRuntimeError as error:
            if batch_size == 1 or not is_out_of_memory(error):
                raise
        batch_size //= 2
        feed.put_back()
        if smaller:
            smaller(batch_size)
        else:
            warnings.warn(f"out of memory: now {batch_size} pictures at once", stacklevel=2)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device had not enough memory, which JAX has no type of its own for."""
    signs = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
    return any(sign in str(error) for sign in signs)


def _shoot(
    driver: Driver, feed: _Feed, batch_size: int, started: CallThreads
) -> Iterator[Finished]:
    """By a method without steps: the next group is under way while one is handed out."""
    waiting: list[Ended] = []
    seats = list(zip(driver.models, driver.places, strict=True))
    if driver.threads > 1:
        (model, place), taken = seats[0], feed.take(batch_size)
        batch = _batch(driver, list(taken.values()), batch_size, place)
        feed.put_back()
        seats = seats[: _fitting(driver, programs.one_shot.lower(driver.program, model, batch))]
    while True:
        groups, calls = [], []
        for model, place in seats:
            if taken := feed.take(batch_size):
                batch = _batch(driver, list(taken.values()), batch_size, place)
                groups.append(list(taken))
                calls.append(partial(programs.one_shot, driver.program, model, batch))
        results = started(calls)
        for ended in waiting:
            yield _handed_out(feed, *ended)
            if driver.progress:
                driver.progress(feed.finished)
        waiting = [
            Ended(numbers, np.arange(len(numbers)), result)
            for numbers, result in zip(groups, results, strict=True)
        ]
        if not waiting:
            return


def _iterate(
    driver: Driver, feed: _Feed, batch_size: int, started: CallThreads
) -> Iterator[Finished]:
    """By a method with steps: where a picture has ended the next one takes its slot."""
    tables = [SlotTable(driver.program, model, batch_size, driver.chunk) for model in driver.models]
    if driver.threads > 1:
        _seat(driver, feed, tables[:1])
        tables = tables[: _fitting(driver, tables[0].lower())]
    waiting: list[Ended] = []
    while True:
        _seat(driver, feed, tables)
        busy = [table for table in tables if table.busy]
        if not busy:
            break
        flags = started([table.advance for table in busy])
        for ended in waiting:
            yield _handed_out(feed, *ended)
        if driver.progress:
            # One chunk stays queued, so that waiting here never leaves a device idle.
            jax.block_until_ready(flags)
            driver.progress(feed.taken - sum(table.left for table in busy))
        waiting = [ended for table in busy for ended in table.collect()]
    for ended in [*waiting, *(ended for table in tables for ended in table.flush())]:
        yield _handed_out(feed, *ended)


def _seat(driver: Driver, feed: _Feed, tables: list[SlotTable]) -> None:
    """The next pictures take the vacant slots."""
    for table, place in zip(tables, driver.places, strict=False):
        rows = table.vacant
        if taken := feed.take(len(rows)):
            rows = rows[: len(taken)]
            batch = _batch(driver, list(taken.values()), table.width, place, rows)
            table.seat(list(taken), rows, batch)


def _fitting(driver: Driver, program: Lowered) -> int:
    """So many calls of the program are under way: those for which there is memory.

    It is compiled, once for all of them.
    """
    device, most = driver.places[0], len(driver.models)
    return calls_that_fit(needed_bytes(program.compile()), device, most)


def _handed_out(feed: _Feed, numbers: list[int], rows: Any, result: Any) -> Finished:
    whole = jax.tree.map(np.asarray, result)
    feed.hand_out(numbers)
    return numbers, jax.tree.map(lambda leaf: leaf[np.array(rows)], whole)


def _batch(
    driver: Driver, samples: list[Sample], width: int, place: Device | Sharding, rows: Any = None
) -> Batch:
    """The samples at these rows of a batch; the last of them fills it up, so it is one program."""
    filled = np.full(width, len(samples) - 1)
    filled[slice(len(samples)) if rows is None else rows] = np.arange(len(samples))
    stack = [samples[i] for i in filled]
    return jax.device_put(
        Batch(
            image_keys(driver.seed, [sample.id for sample in stack]),
            np.stack([sample.image for sample in stack]),
            np.array([sample.target for sample in stack], np.int32),
            jax.tree.map(lambda *leaves: np.stack(leaves), *[dict(s.each) for s in stack]),
        ),
        place,
    )
