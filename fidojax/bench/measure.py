"""One row of the benchmark: times, floor, compilation and memory of a method on a batch."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Sharding

from fidojax.bench import step
from fidojax.bench.clocks import PeakMemory, compile_timed, fresh_cache, interleaved
from fidojax.bench.floors import Product, bare_forward, counted, matrix_product
from fidojax.bench.passes import Passes
from fidojax.bench.row import BenchRow, Case, How
from fidojax.engine import Spread, free_bytes, is_out_of_memory, needed_bytes, prepared
from fidojax.methods import LOOPS, METHODS
from fidojax.types import Device

EXPECTED = (ValueError, OSError, ImportError, RuntimeError, MemoryError)
"""The errors whose message needs no name of the error before it."""


def measure(case: Case, how: How) -> BenchRow:
    """Return the row of a case, with its measurements or with the reason why there are none."""
    try:
        with fresh_cache():
            return _measure(case, how)
    except Exception as error:
        # Methods, infillers and backends may raise anything, and the other rows are still wanted.
        return dataclasses.replace(case.row, problem=reason(error))


def reason(error: Exception) -> str:
    """Return why a case could not be measured, in one line."""
    lines = str(error).strip().splitlines()
    if is_out_of_memory(error) or (isinstance(error, MemoryError) and not lines):
        return "out of memory"
    said = lines[0] if lines else ""
    if isinstance(error, EXPECTED) and said:
        return said
    return f"{type(error).__name__}: {said}".removesuffix(": ")


def _measure(case: Case, how: How) -> BenchRow:
    work = step.shortened(_work(case, how), how.steps)
    compiled = compile_timed(lambda: step.lower(work), how.clock)
    places = work.places
    needed = (needed_bytes(compiled.program) or 0) * places.count(places[0])
    free = free_bytes(jax.local_devices()[0])
    if needed > free:
        raise MemoryError(f"it needs {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free")
    memory = PeakMemory()
    times = (_time_steps if case.row.method in LOOPS else _time_maps)(case, work, how)
    model = _operations(times.passes, case.operations) * case.row.images
    done = max(model, counted(compiled.lowered) * len(places))
    maps = case.row.images / times.whole
    return dataclasses.replace(
        case.row,
        forward=case.passes.forward,
        backward=case.passes.backward,
        images_per_second=maps,
        evaluations_per_second=maps * case.passes.forward,
        seconds=times.call,
        floor=times.floor,
        ratio=times.floor and times.call / times.floor,
        peak_share=done / times.call / times.peak if model else None,
        compile_cold=compiled.cold,
        compile_cached=compiled.cached,
        program_mb=needed / 1e6,
        peak_mb=memory.megabytes(),
    )


def _work(case: Case, how: How) -> step.Work:
    count = case.row.images
    images = np.random.default_rng(0).random((count, *case.size), np.float32)
    each = jax.tree.map(lambda leaf: np.repeat(leaf[None], count, axis=0), dict(case.each))
    network = prepared(case.network, case.row.precision)
    devices = Spread(jax.local_devices()) if how.spread else None
    return step.Work(case.row.method, network, images, case.options, each, devices)


def _operations(passes: Passes, of_one: tuple[float, float]) -> float:
    forward, gradient = of_one
    return (passes.forward - passes.backward) * forward + passes.backward * gradient


class _Times(NamedTuple):
    """Seconds, taken in turn.

    Attributes:
        call: of a call, see `BenchRow`.
        floor: of its bare passes.
        whole: of all maps through the engine.
        peak: operations per second of a matrix product.
        passes: of the classifier per image in a call.
    """

    call: float
    floor: float | None
    whole: float
    peak: float
    passes: Passes


def _time_steps(case: Case, work: step.Work, how: How) -> _Times:
    loop, timed = (LOOPS[work.method](**options) for options in (case.options, work.options))
    pair, product = step.paired(work), matrix_product(case.row.precision)
    call, floor, multiplied = interleaved(
        [pair.step, pair.gradient, product.call], how.repeats, how.rounds, how.clock
    )
    (whole,) = interleaved([step.whole(work)], 1, how.rounds, how.clock)
    call, floor = call / pair.steps, floor / pair.steps
    # What begins and ends a run comes once, however many steps there are between.
    whole += (loop.steps - timed.steps) * call
    return _Times(
        call, floor, whole, _peak(product, multiplied, work),
        Passes(loop.evaluations, loop.evaluations),
    )  # fmt: skip


def _time_maps(case: Case, work: step.Work, how: How) -> _Times:
    passes, count = case.passes, len(work.images)
    alone = passes.forward - passes.backward
    bare = [
        _bare(call, work, count * number)
        for call, number in ((bare_forward, alone), (step.gradient, passes.backward))
        if number
    ]
    product = matrix_product(case.row.precision)
    calls = [step.whole(work), product.call, *(call for call, _ in bare)]
    whole, multiplied, *taken = interleaved(calls, how.repeats, how.rounds, how.clock)
    floor = sum(seconds * times for seconds, (_, times) in zip(taken, bare, strict=True))
    return _Times(whole, floor if bare else None, whole, _peak(product, multiplied, work), passes)


def _peak(product: Product, seconds: float, work: step.Work) -> float:
    """Operations per second of all devices that compute; a product takes all cores of a CPU."""
    devices = set().union(*map(_devices, work.places))
    count = 1 if jax.default_backend() == "cpu" else len(devices)
    return product.operations / seconds * count


def _devices(place: Device | Sharding) -> set[Device]:
    return place.device_set if isinstance(place, Sharding) else {place}


def _bare(call: Callable, work: step.Work, number: int) -> tuple[Callable[[], Any], float]:
    """Bare passes in batches as large as the method's, and how many batches `number` are."""
    chunk = work.options.get("chunk", _default_chunk(work.method))
    batch = min(number, len(work.images) * chunk if chunk else number)
    images = np.resize(work.images, (batch, *work.images.shape[1:]))
    return step.bare(call, work, images), number / batch


def _default_chunk(method: str) -> int | None:
    known = inspect.signature(METHODS[method]).parameters.get("chunk")
    return known and known.default
