"""Several calls under way on one CPU: threads, their settings, and the same maps."""

import threading
import time
from collections import OrderedDict
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import linear
from jax.tree_util import Partial

import fidojax
from fidojax.engine import devices, memory, programs, threads
from infillers import mean, random


def fakes(platform, count):
    return [SimpleNamespace(platform=platform)] * count


def test_the_cores_are_shared_among_the_devices(monkeypatch):
    monkeypatch.setattr(devices, "cores", lambda: 9)
    assert devices.threads_per_device(fakes("cpu", 1)) == 9
    assert devices.threads_per_device(fakes("cpu", 4)) == 2
    assert devices.threads_per_device(fakes("cpu", 10)) == 1
    assert devices.threads_per_device(fakes("gpu", 4)) == 1
    assert devices.concurrent_calls(fakes("cpu", 4)) == 8
    monkeypatch.setattr(devices, "cores", lambda: 200)
    assert devices.threads_per_device(fakes("cpu", 1)) == devices.LARGEST


def test_calls_are_under_way_at_the_same_time_each_in_its_thread():
    meeting = threading.Barrier(3, timeout=20)

    def meet():
        meeting.wait()
        return threading.get_ident()

    with threads.CallThreads(3) as started:
        own = started([threading.get_ident] * 3)
        assert started([meet] * 3) == own
    assert len({*own, threading.get_ident()}) == 4


def test_the_first_call_compiles_for_all():
    seen = []

    def record(at):
        seen.append(("begins", at))
        time.sleep(0.1)
        seen.append(("ends", at))

    with threads.CallThreads(2) as started:
        started([lambda: record(0), lambda: record(1)])
    assert seen[:2] == [("begins", 0), ("ends", 0)]
    traces = []

    @jax.jit
    def program(x):
        traces.append(1)
        return x + 1

    with threads.CallThreads(4) as started:
        started([lambda: program(jnp.ones(3))] * 4)
    assert len(traces) == 1


def test_one_lane_calls_on_the_spot():
    with threads.CallThreads(1) as started:
        assert started([threading.get_ident]) == [threading.get_ident()]


def test_problems_come_to_the_caller():
    def broken():
        raise ValueError("no")

    with threads.CallThreads(2) as started, pytest.raises(ValueError, match="no"):
        started([threading.get_ident, broken])


def test_the_settings_of_the_calling_thread_hold():
    def settings():
        product = jax.make_jaxpr(jnp.matmul)(jnp.ones((2, 2)), jnp.ones((2, 2)))
        return jnp.arange(2.0).dtype, "HIGHEST" in str(product)

    for exact in (False, True):
        precision = jax.default_matmul_precision("highest" if exact else None)
        with jax.enable_x64(exact), precision, threads.CallThreads(2) as started:
            found = started([settings] * 2)
        assert found == [(jnp.dtype("float64" if exact else "float32"), exact)] * 2


@pytest.mark.parametrize(
    ("method", "early"), [("fido", False), ("fido", True), ("gradient", False)]
)
def test_a_map_does_not_depend_on_the_number_of_lanes(method, early, monkeypatch):
    traces = []

    def counted(weights, images):
        traces.append(1)
        return linear(weights, images)

    images = np.random.default_rng(0).uniform(size=(13, 12, 12, 3)).astype(np.float32)
    weights = jax.random.normal(jax.random.key(0), (12, 12, 3))
    options = {"infill": random(), "steps": 40, "samples": 2, "learning_rate": 0.3}
    done, found = [], []
    for cores in (1, 3):
        monkeypatch.setattr(devices, "cores", lambda cores=cores: cores)
        explanation = fidojax.explain_batch(
            method, Partial(counted, weights), images, [0] * 13,
            options=options if method == "fido" else {}, batch_size=2,
            stop=fidojax.Stop(move=0.03, gain=0.3, every=4, least=8) if early else None,
            progress=lambda part, whole: done.append(part / whole),
        )  # fmt: skip
        found.append((explanation, len(traces)))
    (one, before), (three, after) = found
    assert before == after  # nothing is traced again
    assert early or done[-1] == 1
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(three), strict=True):
        np.testing.assert_array_equal(a, b)


def test_few_pictures_are_spread_over_the_lanes(planted, monkeypatch):
    widths = []
    original = programs.one_shot

    def watched(program, model, batch):
        widths.append(len(batch.targets))
        return original(program, model, batch)

    watched.lower = original.lower  # type: ignore[attr-defined]
    monkeypatch.setattr(programs, "one_shot", watched)
    monkeypatch.setattr(devices, "cores", lambda: 3)
    fidojax.explain_batch("max_box", planted, np.zeros((6, 12, 12, 3)), [0] * 6)
    assert len(widths) >= 3


@pytest.mark.parametrize("method", ["gradient", "bbmp"])
def test_a_second_call_costs_no_analysis_and_no_trace(method, monkeypatch):
    analysed, traces = [], []
    original = memory.needed_bytes
    monkeypatch.setattr(memory, "needed_bytes", lambda p: analysed.append(p) or original(p))
    monkeypatch.setattr(devices, "cores", lambda: 2)

    def counted(weights, images):
        traces.append(1)
        return linear(weights, images)

    weights, images = np.ones((9, 9, 3), np.float32), np.full((4, 9, 9, 3), 0.5, np.float32)
    options = {"infill": mean(0.0), "steps": 2} if method == "bbmp" else {}

    def explain(factor):
        classifier = Partial(counted, factor * jnp.asarray(weights))
        fidojax.explain_batch(method, classifier, images, [0] * 4, options=options, batch_size=2)
        return len(analysed), len(traces)

    first = explain(1.0)
    assert first[0] == 1
    assert explain(2.0) == first
    images, weights = images[:, :8, :8], weights[:8, :8]  # other shapes
    assert explain(1.0)[0] == 2


def test_there_are_no_more_lanes_than_batches(planted, monkeypatch):
    counts = []
    monkeypatch.setattr(devices, "cores", lambda: 4)
    original = threads.CallThreads.__init__

    def watched(self, count):
        counts.append(count)
        original(self, count)

    monkeypatch.setattr(threads.CallThreads, "__init__", watched)
    for pictures in (1, 2, 3, 5, 40):
        images = np.zeros((pictures, 12, 12, 3))
        fidojax.explain_batch("gradient", planted, images, [0] * pictures, batch_size=2)
    assert counts == [1, 1, 2, 3, 4]


@pytest.mark.parametrize("method", ["fido", "gradient"])
def test_there_are_no_more_lanes_than_memory_allows(method, planted, monkeypatch):
    images = np.random.default_rng(0).uniform(size=(6, 12, 12, 3)).astype(np.float32)
    options = {"infill": random(), "steps": 2, "samples": 2} if method == "fido" else {}
    monkeypatch.setattr(devices, "cores", lambda: 3)
    monkeypatch.setattr(memory, "free_bytes", lambda _: 3_000_000)
    used = []
    original = threads.CallThreads.__call__
    monkeypatch.setattr(
        threads.CallThreads,
        "__call__",
        lambda self, calls: used.append(len(calls)) or original(self, calls),
    )
    for needed, width in ((100, 3), (400_000, 2), (5_000_000, 1)):
        monkeypatch.setattr(memory, "needed_bytes", lambda _, needed=needed: needed)
        monkeypatch.setattr(memory, "_known", OrderedDict())
        explanation = fidojax.explain_batch(
            method, planted, images, [0] * 6, options=options, batch_size=1
        )
        assert len(explanation.saliency) == 6
        assert max(used) == width
        used.clear()


@pytest.mark.parametrize("name", ["one_shot", "advance"])
def test_short_memory_in_one_lane_makes_the_batches_of_all_smaller(name, planted, monkeypatch):
    images = np.random.default_rng(0).uniform(size=(9, 12, 12, 3)).astype(np.float32)
    method, options = "gradient", {}
    if name == "advance":
        method, options = "fido", {"infill": random(), "steps": 4, "samples": 2}

    def explain(batch_size):
        return fidojax.explain_batch(
            method, planted, images, [0] * 9, options=options, batch_size=batch_size
        ).saliency

    alone = explain(1)
    monkeypatch.setattr(devices, "cores", lambda: 3)
    original, calls = getattr(programs, name), []

    def narrow(program, model, batch, **more):
        calls.append(1)
        if len(calls) == 3:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return original(program, model, batch, **more)

    narrow.lower = original.lower  # type: ignore[attr-defined]
    monkeypatch.setattr(programs, name, narrow)
    with pytest.warns(UserWarning, match="out of memory: now 1 pictures at once"):
        found = explain(2)
    np.testing.assert_array_equal(found[-3:], alone[-3:])  # those that came after it
    np.testing.assert_allclose(found, alone, atol=1e-5)
