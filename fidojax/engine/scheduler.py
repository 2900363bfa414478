"""Continuous batching: any number of pictures through one compiled program, in bounded memory.

The host admits pictures into slots, dispatches compiled calls and fetches finished maps. It fetches
the maps of one call while the next one runs, so that the devices do not wait for the host.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Sharding

from fidojax.engine import programs
from fidojax.engine.keys import image_keys
from fidojax.engine.memory import calls_that_fit, known_bytes
from fidojax.engine.options import is_iterative
from fidojax.engine.programs import Batch, Model, Program
from fidojax.engine.request import ExplainRequest
from fidojax.engine.samples import Queue, Sample
from fidojax.engine.slots import Ended, SlotTable, most_steps_per_call
from fidojax.engine.stopwatch import Stopwatch
from fidojax.engine.threads import CallThreads
from fidojax.types import Device, Explanation

Finished = tuple[list[int], Explanation]
"""Numbers of samples, from 0, and their explanations, NumPy leaves with a leading axis."""


class Driver(NamedTuple):
    """A request on its devices.

    Attributes:
        request: as `ExplainRequest.ready` returns it.
        program: the static part of the request.
        models: the traced part of the request, once for each concurrent call, at its place.
        places: the device or sharding of each concurrent call.
        threads: the number of threads that start the calls. With several, the number of concurrent
            calls is reduced to what fits into memory.
        progress: called with the number of pictures done, a fraction for those under way.
        watch: divides the wall time among the pictures.
    """

    request: ExplainRequest
    program: Program
    models: Sequence[Model]
    places: Sequence[Device | Sharding]
    threads: int
    progress: Callable[[float], None] | None = None
    watch: Stopwatch | None = None

    def lap(self, numbers: Iterable[int], results: Any = ()) -> None:
        """Give the time since the last lap to these pictures, when their results are there.

        A device may compute while a call is started, or while its results are waited for.
        """
        if self.watch is not None:
            jax.block_until_ready(results)
            self.watch.lap(numbers)


def stream(
    driver: Driver,
    samples: Iterable[Sample],
    batch_size: int,
    smaller: Callable[[int], None] | None = None,
) -> Iterator[Finished]:
    """Yield the explanations of all samples, in groups, as they finish.

    When a device runs out of memory, the stream goes on with half the batch size.

    Args:
        batch_size: pictures per compiled call.
        smaller: called with the new batch size after the memory ran out; a warning when None.

    Raises:
        jax.errors.JaxRuntimeError: the memory is too small for one picture, or another error.
    """
    queue = Queue(samples)
    drive = _run_steps if is_iterative(driver.program.method) else _run_once
    while True:
        try:
            with CallThreads(driver.threads) as call:
                yield from drive(driver, queue, batch_size, call)
            return
        except jax.errors.JaxRuntimeError as error:
            if batch_size == 1 or not is_out_of_memory(error):
                raise
        batch_size //= 2
        queue.requeue()
        if smaller:
            smaller(batch_size)
        else:
            warnings.warn(f"out of memory: now {batch_size} pictures at once", stacklevel=2)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device ran out of memory, for which JAX has no exception of its own."""
    signs = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
    return any(sign in str(error) for sign in signs)


def _run_once(
    driver: Driver, queue: Queue, batch_size: int, call: CallThreads
) -> Iterator[Finished]:
    """Explain by a method without steps: the next batches run while these results are fetched."""
    waiting: list[Ended] = []
    fitting = len(driver.models) if driver.threads == 1 else None
    while True:
        groups, calls = [], []
        for model, place in zip(driver.models, driver.places, strict=True):
            if len(calls) == fitting or not (taken := queue.take(batch_size)):
                break
            batch = _batch(driver, list(taken.values()), batch_size, place)
            groups.append(list(taken))
            calls.append(partial(programs.one_shot, driver.program, model, batch))
            if fitting is None:
                lower = partial(programs.one_shot.lower, driver.program, model, batch)
                given = ("one_shot", driver.program), (model, batch)
                fitting = _fitting(driver, known_bytes(*given, lower))
        under_way = [number for ended in waiting for number in ended.numbers]
        driver.lap(under_way)
        results = call(calls)
        driver.lap(number for group in groups for number in group)
        driver.lap(under_way, [ended.result for ended in waiting])
        for ended in waiting:
            yield _fetch(queue, *ended)
            if driver.progress:
                driver.progress(queue.finished)
        waiting = [
            Ended(numbers, np.arange(len(numbers)), result)
            for numbers, result in zip(groups, results, strict=True)
        ]
        if not waiting:
            return


def _run_steps(
    driver: Driver, queue: Queue, batch_size: int, call: CallThreads
) -> Iterator[Finished]:
    """Explain by an iterative method: when a picture has ended, the next one takes its slot."""
    steps = most_steps_per_call(driver.request.rewrite)
    tables = [SlotTable(driver.program, model, batch_size, steps) for model in driver.models]
    if driver.threads > 1:
        _admit(driver, queue, tables[:1])
        tables = tables[: _fitting(driver, tables[0].needed_bytes())]
    waiting: list[Ended] = []
    before: list[int] = []
    while True:
        _admit(driver, queue, tables)
        active = [table for table in tables if table.active]
        if not active:
            break
        driver.lap(before)
        done = call([table.advance for table in active])
        under_way = [number for table in active for number in table.numbers]
        driver.lap(under_way)
        # What is waited for is the call before.
        driver.lap(before or under_way, (done, [ended.result for ended in waiting]))
        before = under_way
        for ended in waiting:
            yield _fetch(queue, *ended)
        if driver.progress:
            # One call stays queued, so that waiting here never leaves a device idle.
            jax.block_until_ready(done)
            driver.progress(queue.taken - sum(table.remaining for table in active))
        waiting = [ended for table in active for ended in table.collect()]
    rest = [*waiting, *(ended for table in tables for ended in table.flush())]
    driver.lap((n for ended in rest for n in ended.numbers), [ended.result for ended in rest])
    for ended in rest:
        yield _fetch(queue, *ended)


def _admit(driver: Driver, queue: Queue, tables: list[SlotTable]) -> None:
    """Admit the next pictures into the free slots."""
    for table, place in zip(tables, driver.places, strict=False):
        rows = table.free
        if taken := queue.take(len(rows)):
            rows = rows[: len(taken)]
            batch = _batch(driver, list(taken.values()), table.width, place, rows)
            table.admit(list(taken), rows, batch)


def _fitting(driver: Driver, needed: int | None) -> int:
    """Return the number of concurrent calls of so many bytes that fit into memory."""
    return calls_that_fit(needed, driver.places[0], len(driver.models))


def _fetch(queue: Queue, numbers: list[int], rows: Any, result: Any) -> Finished:
    """Fetch the explanations of finished pictures from the device."""
    whole = jax.tree.map(np.asarray, result)
    queue.finish(numbers)
    return numbers, jax.tree.map(lambda leaf: leaf[np.array(rows)], whole)


def _batch(
    driver: Driver, samples: list[Sample], width: int, place: Device | Sharding, rows: Any = None
) -> Batch:
    """Put samples into these rows of a batch; the last one fills all others, for a fixed shape."""
    filled = np.full(width, len(samples) - 1)
    filled[slice(len(samples)) if rows is None else rows] = np.arange(len(samples))
    stack = [samples[i] for i in filled]
    return jax.device_put(
        Batch(
            image_keys(driver.request.seed, [sample.id for sample in stack]),
            np.stack([sample.image for sample in stack]),
            np.array([sample.target for sample in stack], np.int32),
            jax.tree.map(lambda *leaves: np.stack(leaves), *[dict(s.each) for s in stack]),
        ),
        place,
    )
