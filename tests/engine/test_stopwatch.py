"""The wall time of a run is divided among its pictures, and compilation is apart."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from fidojax.core import black
from fidojax.engine import (
    ExplainRequest,
    Sample,
    Stopwatch,
    devices,
    explain_samples,
    programs,
    scheduler,
    slots,
)
from fidojax.engine.stopwatch import COMPILING, _Intervals, compile_seconds


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.time = self.compiled = 0.0

    def watch(self) -> Stopwatch:
        return Stopwatch(lambda: self.time, lambda: self.compiled)


def test_a_lap_is_divided_among_the_pictures_under_way_without_compilation():
    clock = Clock()
    watch = clock.watch()
    clock.time, clock.compiled = 5.0, 3.0
    watch.lap([0, 1])
    clock.time = 8.0
    watch.lap([1])
    assert [watch.take(0), watch.take(1), watch.take(2)] == [1.0, 4.0, 0.0]
    assert watch.take(1) == 0.0  # it is forgotten
    assert watch.compiling == 3.0


def test_time_without_pictures_belongs_to_the_next_ones():
    clock = Clock()
    watch = clock.watch()
    clock.time = 2.0
    watch.lap([])
    clock.time = 3.0
    watch.lap([7])
    assert watch.take(7) == 3.0


def test_what_was_compiled_before_the_start_does_not_count():
    clock = Clock()
    clock.compiled = 100.0
    watch = clock.watch()
    clock.time, clock.compiled = 5.0, 101.0
    assert watch.passed() == 4.0


@pytest.mark.parametrize(
    ("events", "total"),
    [
        ([(10, 4)], 4),
        ([(10, 4), (20, 4)], 8),
        ([(9, 1), (10, 4)], 4),  # the function that was reported first was called by the other
        ([(7, 1), (9, 1), (10, 5), (30, 2)], 7),
        ([(10, 4), (12, 4)], 6),  # on two threads
    ],
)
def test_compilations_that_lie_in_one_another_count_once(events, total):
    """Each event is when it ended and how long it took."""
    now = [0.0]
    found = _Intervals(lambda: now[0])
    for end, duration in events:
        now[0] = end
        found.listen(COMPILING[0], duration)
        found.listen("/jax/another", 1000.0)
    assert found.total == total


def test_tracing_and_compiling_count_and_a_second_call_does_not():
    before = compile_seconds()
    program = jax.jit(lambda x: jnp.sin(x) * 1.2345)
    program(jnp.ones(7)).block_until_ready()
    first = compile_seconds()
    program(jnp.ones(7)).block_until_ready()
    assert before < first == compile_seconds()


def shown(shade):
    return np.full((4, 4, 3), shade, np.float32)


def brightness(scale, images):
    return scale * jnp.stack([images.mean((1, 2, 3)), -images.mean((1, 2, 3))], axis=1)


REQUEST = ExplainRequest("gradient", Partial(brightness, jnp.float32(1)), batch_size=2)


@pytest.fixture
def two_calls_at_once(monkeypatch):
    monkeypatch.setattr(devices, "cores", lambda: 2)
    monkeypatch.setattr(scheduler, "_fitting", lambda driver, program: len(driver.models))


def seconds_of(request, count, clock):
    """The seconds of each picture, taken when it has finished, as `explain_missing` does."""
    watch, found = clock.watch(), {}
    samples = [Sample(i, shown(i / count), 0) for i in range(count)]
    for numbers, _ in explain_samples(request, samples, most=count, watch=watch):
        found |= {number: watch.take(number) for number in numbers}
    return [found[number] for number in range(count)], watch


def test_the_pictures_of_concurrent_calls_share_their_time(two_calls_at_once, monkeypatch):
    """Two calls of two pictures run at once, then one of two and one of one; each takes 3 s."""
    clock, original = Clock(), programs.one_shot

    def slow(*arguments):
        with lock:
            clock.time += 3.0
        return original(*arguments)

    slow.lower, lock = original.lower, threading.Lock()
    monkeypatch.setattr(programs, "one_shot", slow)
    seconds, watch = seconds_of(REQUEST, 7, clock)
    assert seconds == pytest.approx([6 / 4] * 4 + [6 / 3] * 3)
    assert sum(seconds) + watch.compiling == pytest.approx(clock.time)


def test_time_that_passes_until_the_results_are_there_counts_for_these(monkeypatch):
    """The device computes a call of 4 s while its results are waited for."""
    clock, original, ready = Clock(), programs.one_shot, jax.block_until_ready

    def wait(results):
        clock.time += 4.0 * len(results)
        return ready(results)

    monkeypatch.setattr(scheduler.jax, "block_until_ready", wait)
    seconds, _ = seconds_of(REQUEST, 3, clock)
    assert original is programs.one_shot
    assert seconds == pytest.approx([2.0, 2.0, 4.0])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_pictures_in_slots_share_each_call_and_reading_out(count, monkeypatch):
    """Every call of the steps takes 2 s; what is left over, too, has an owner."""
    clock, original = Clock(), programs.advance

    def slow(*arguments, **options):
        clock.time += 2.0
        return original(*arguments, **options)

    monkeypatch.setattr(programs, "advance", slow)
    monkeypatch.setattr(slots, "most_steps_per_call", lambda rewritten: 1)
    monkeypatch.setattr(scheduler, "most_steps_per_call", lambda rewritten: 1)
    options = {"infill": Partial(black), "steps": 3, "samples": 1, "size": 2}
    request = ExplainRequest("fido", REQUEST.classifier, options, batch_size=2)
    seconds, _ = seconds_of(request, count, clock)
    rounds = -(-count // 2)
    assert sum(seconds) == pytest.approx(clock.time) == 6.0 * rounds
    shares = [3.0] * (count // 2 * 2) + [6.0] * (count % 2)
    assert seconds == pytest.approx(shares)
