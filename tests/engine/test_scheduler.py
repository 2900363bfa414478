"""Pictures as a stream: early stopping, slots that are taken again, short memory, precision."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import linear
from jax.tree_util import Partial

import fidojax
from fidojax import Stop, networks
from fidojax.core import untransformed
from fidojax.engine import early_stopping, programs, slots
from fidojax.engine.explain import Sample, explain_stream
from fidojax.transforms import cpu
from fidojax.transforms.precision import PRECISIONS, in_precision
from infillers import mean, random

OPTIONS = {"infill": random(), "steps": 40, "samples": 2, "learning_rate": 0.3}
EARLY = Stop(move=0.03, gain=0.3, every=4, least=8)


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(9, 12, 12, 3)).astype(np.float32)


def explain(classifier, images, rows, batch_size=3, **more):
    return fidojax.explain_batch(
        "fido", classifier, images[list(rows)], [0] * len(rows), options=OPTIONS, ids=rows,
        batch_size=batch_size, **more,
    )  # fmt: skip


def steps_done(explanation):
    return np.isfinite(explanation.info.objective).sum(axis=1)


def test_converged_pictures_end_early_and_the_others_take_their_slots(planted, images, monkeypatch):
    calls = []
    advance = programs.advance
    monkeypatch.setattr(programs, "advance", lambda *a, **k: calls.append(1) or advance(*a, **k))
    early = explain(planted, images, range(9), batch_size=2, stop=EARLY)
    done = steps_done(early)
    assert (done % EARLY.every == 0).all()
    assert done.min() >= EARLY.least
    assert len(set(done)) > 1  # they do not end at the same time
    # Without slots that are taken again each pair waits for its slower picture.
    assert len(calls) < sum(done[i : i + 2].max() for i in range(0, 9, 2))
    assert np.isfinite(early.saliency).all()
    assert np.isfinite(early.info.probability).all()


def test_a_map_that_ends_early_does_not_depend_on_its_neighbours(planted, images):
    everything = explain(planted, images, range(9), stop=EARLY)
    order = [4, 8, 6, 0, 3, 1]
    some = explain(planted, images, order, stop=EARLY)
    for one, other in zip(jax.tree.leaves(everything), jax.tree.leaves(some), strict=True):
        np.testing.assert_array_equal(one[order], other)


def test_until_it_ends_a_picture_does_what_it_does_without_a_criterion(planted, images):
    early, whole = (explain(planted, images, range(9), stop=s) for s in (EARLY, None))
    for row, done in enumerate(steps_done(early)):
        np.testing.assert_allclose(
            early.info.objective[row, :done], whole.info.objective[row, :done], atol=1e-4
        )
    never = explain(planted, images, range(9), stop=EARLY._replace(move=-1.0))
    np.testing.assert_allclose(never.saliency, whole.saliency, atol=1e-5)


def test_the_map_that_is_read_out_is_that_of_the_last_step_done(planted, images):
    """The same options with the tail's average, which has not begun when the map converges."""
    options = OPTIONS | {"average": 0.25, "size": 12, "schedule": "constant"}
    early = fidojax.explain_batch(
        "fido", planted, images, [0] * 9, options=options, batch_size=3, stop=EARLY
    )
    (done, *_) = steps_done(early)
    assert done < 30  # the tail begins at 30
    cut = fidojax.explain_batch(
        "fido", planted, images[:1], [0], batch_size=3,
        options=options | {"steps": int(done), "average": 0.0},
    )  # fmt: skip
    np.testing.assert_allclose(early.saliency[0], cut.saliency[0], atol=1e-5)


def test_new_limits_do_not_compile_again(planted, images):
    for _ in range(2):
        explain(planted, images, range(5), stop=EARLY)
    compiled: Any = programs.advance
    before = compiled._cache_size()
    explain(planted, images, range(5), stop=EARLY._replace(move=0.05, gain=0.2))
    assert compiled._cache_size() == before


def test_chunks_on_accelerators_stop_at_the_same_steps(planted, images, monkeypatch):
    single = explain(planted, images, range(9), stop=EARLY)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    chunked = explain(planted, images, range(9), stop=EARLY)
    np.testing.assert_array_equal(steps_done(single), steps_done(chunked))
    np.testing.assert_allclose(single.saliency, chunked.saliency, atol=1e-5)


def test_chunks_that_do_not_divide_the_steps_do_none_too_many(planted, images, monkeypatch):
    single = explain(planted, images, range(5))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(slots, "STEPS_PER_CALL", 27)  # 2 calls of 20
    monkeypatch.setitem(OPTIONS, "steps", 39)
    chunked = explain(planted, images, range(5))
    monkeypatch.undo()
    assert chunked.info.objective.shape == (5, 39)
    assert np.isfinite(chunked.info.objective).all()
    assert single.info.objective.shape == (5, 40)


@pytest.mark.parametrize("method", ["bbmp", "meaningful_perturbation"])
def test_other_methods_with_a_mask_stop(method, planted, images):
    options = {"infill": mean(0.0), "steps": 30}
    result = fidojax.explain_batch(
        method, planted, images[:4], [0] * 4, options=options, batch_size=2,
        stop=Stop(move=1.0, gain=np.inf, every=5, least=7),
    )  # fmt: skip
    np.testing.assert_array_equal(steps_done(result), 10)  # the second look, at the earliest


@pytest.mark.parametrize("method", ["gradient", "extremal_perturbation", "rise"])
def test_methods_without_a_converging_mask_say_so(method, planted, images):
    with pytest.raises(ValueError, match=f"stop: {method} has no mask that converges"):
        fidojax.explain_batch(method, planted, images, [0] * 9, batch_size=2, stop=EARLY)


def test_the_criterion_by_hand():
    """Two steps between looks; the mask stands still from the second look on, the objective later.

    Objectives 8 8 | 4 4 | 4 3.9 | 4 4: the means 8, 4, 3.95 and 4 fall by 4, 0.05 and -0.05.
    """
    criterion = Stop(move=0.01, gain=0.1, every=2, least=4)
    masks = [0.5, 0.6, 0.6, 0.9, 0.9, 0.9, 0.9, 0.9]
    objectives = [8, 8, 4, 4, 4, 3.9, 4, 4]
    seen = early_stopping.watch(jnp.zeros((2, 2)))
    found = []
    for step, (mask, value) in enumerate(zip(masks, objectives, strict=True), start=1):
        now = jnp.full((2, 2), mask)
        seen, converged = early_stopping.observe(
            criterion, seen, now, jnp.float32(value), jnp.int32(step)
        )
        found.append(bool(converged))
    assert found == [False] * 5 + [True, False, True]


def test_samples_are_read_as_they_are_needed(planted, images):
    read = []

    def samples():
        for i, image in enumerate(images):
            read.append(i)
            yield Sample(i, image, 0)

    options = OPTIONS | {"steps": 3}
    stream = explain_stream("fido", planted, samples(), options=options, batch_size=2)
    numbers, explanation = next(stream)
    assert numbers == [0, 1]
    assert explanation.saliency.shape == (2, 12, 12)
    assert len(read) <= 4  # the group that is under way
    assert [n for numbers, _ in stream for n in numbers] == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("method", ["fido", "gradient"])
def test_short_memory_halves_the_batch_size_and_goes_on(method, planted, images, monkeypatch):
    """The call fails as on a device that holds two pictures, after the first group of eight."""
    name = "advance" if method == "fido" else "one_shot"
    original, calls = getattr(programs, name), []

    def narrow(program, model, batch, **more):
        width = len(jax.tree.leaves(batch)[-1])
        calls.append(width)
        if width > 2 and len(calls) > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
        return original(program, model, batch, **more)

    monkeypatch.setattr(programs, name, narrow)
    options = {"infill": mean(), "steps": 2, "samples": 2} if method == "fido" else {}
    told = []
    result = list(
        explain_stream(
            method, planted, [Sample(i, image, 0) for i, image in enumerate(images)],
            options=options, batch_size=4, smaller=told.append,
        )
    )  # fmt: skip
    assert told == [2]
    assert sorted(n for numbers, _ in result for n in numbers) == list(range(9))
    monkeypatch.undo()
    whole = fidojax.explain_batch(method, planted, images, [0] * 9, options=options, batch_size=2)
    for numbers, explanation in result:
        np.testing.assert_allclose(explanation.saliency, whole.saliency[numbers], atol=1e-5)


def test_short_memory_for_one_picture_and_other_errors_are_raised(planted, images, monkeypatch):
    def fail(*arguments, **more):
        raise jax.errors.JaxRuntimeError(message)

    monkeypatch.setattr(programs, "one_shot", fail)
    for message, warned in (("RESOURCE_EXHAUSTED: no memory", [2, 1]), ("INTERNAL: broken", [])):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(jax.errors.JaxRuntimeError, match=message[:8]):
                fidojax.explain_batch("gradient", planted, images, [0] * 9, batch_size=4)
        sentences = [f"out of memory: now {n} pictures at once" for n in warned]
        assert [str(warning.message) for warning in caught] == sentences


def test_precision_changes_what_the_products_are_computed_in():
    weights = jax.random.normal(jax.random.key(0), (3, 3, 3, 4))

    def network(weights, images):
        y = jax.lax.conv_general_dilated(
            images, weights, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jax.nn.relu(y).mean((1, 2)) @ jnp.ones((4, 2))

    classifier, x = Partial(network, weights), jnp.ones((2, 8, 8, 3)) / 3
    exact = classifier(x)
    text = {p: str(jax.make_jaxpr(in_precision(classifier, p))(x)) for p in PRECISIONS}
    assert text["float32"].count("HIGHEST, Precision.HIGHEST") == 2
    assert text["tf32"].count("HIGH, Precision.HIGH)") == 2
    assert text["bfloat16"].count("preferred_element_type=bfloat16") == 2
    rounded = in_precision(classifier, "bfloat16")
    assert rounded(x).dtype == jnp.float32
    error = float(jnp.abs(rounded(x) / exact - 1).max())
    assert 0 < error < 1e-2
    np.testing.assert_array_equal(in_precision(classifier, "float32")(x), exact)
    plain: Any = untransformed(cpu.fast(rounded))
    assert plain.func is network
    assert plain.args[0] is weights
    with pytest.raises(ValueError, match="precision: there is no 'bf16'"):
        in_precision(classifier, "bf16")


def test_new_weights_in_low_precision_do_not_trace_again():
    traces = []

    def counted(weights, images):
        traces.append(1)
        return linear(weights, images)

    for scale in (1.0, 2.0):
        classifier = Partial(counted, jnp.full((8, 8, 1), scale))
        fidojax.explain_batch(
            "gradient", classifier, np.zeros((2, 8, 8, 1)), [0, 1], batch_size=2,
            precision="bfloat16",
        )  # fmt: skip
        if scale == 1:
            first = len(traces)  # of the check, and of the program
    assert len(traces) == first == 2


@pytest.mark.parametrize("method", ["fido", "gradient", "grad_cam", "deeplift"])
def test_bfloat16_maps_are_near_those_of_float32(method):
    network = networks.load("mnist")
    images = np.random.default_rng(2).uniform(size=(2, *network.size)).astype(np.float32)
    options = {"infill": mean(), "steps": 10, "samples": 4} if method == "fido" else {}
    maps = [
        fidojax.explain_batch(
            method, network.classifier, images, [3, 5], options=options, batch_size=2, precision=p
        ).saliency
        for p in (None, "bfloat16")
    ]
    for one, other in zip(*maps, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.97


def test_precision_reaches_a_classifier_that_was_rewritten_for_the_cpu():
    network = networks.load("mnist")
    images = np.random.default_rng(2).uniform(size=(2, *network.size)).astype(np.float32)
    exact, plain, rewritten = (
        fidojax.explain_batch("gradient", classifier, images, [3, 5], precision=p).saliency
        for classifier, p in (
            (network.classifier, None),
            (network.classifier, "bfloat16"),
            (cpu.fast(network.classifier), "bfloat16"),
        )
    )
    assert np.abs(plain / exact.max() - exact / exact.max()).max() > 1e-3
    np.testing.assert_array_equal(plain, rewritten)
