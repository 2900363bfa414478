"""The batched engine: bits, padding, devices, memory, progress."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import in_a_process, linear
from jax.tree_util import Partial

import fidojax
from fidojax.engine import ExplainRequest, memory, programs, slots, split_options
from infillers import mean, random

OPTIONS = {"infill": random(), "steps": 12, "samples": 4}


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(7, 12, 12, 3)).astype(np.float32)


def explain(classifier, images, ids, batch_size=2, **more):
    return fidojax.explain_batch(
        "fido", classifier, images, [0] * len(images),
        options=OPTIONS, ids=ids, batch_size=batch_size, **more,
    )  # fmt: skip


def test_a_map_does_not_depend_on_grouping_or_order(planted, images):
    everything = explain(planted, images, range(7))
    order = [4, 2, 6, 0, 3]
    some = explain(planted, images[order], order)
    for one, other in zip(jax.tree.leaves(everything), jax.tree.leaves(some), strict=True):
        np.testing.assert_array_equal(one[order], other)


def test_batch_size_sizes_agree_on_the_objective(planted, images):
    runs = [explain(planted, images, range(7), size) for size in (1, 3, 8)]
    for other in runs[1:]:
        np.testing.assert_allclose(runs[0].info.objective, other.info.objective, atol=1e-3)


def test_the_batch_equals_the_pure_method(planted, images):
    batch = explain(planted, images, [10, 11, 12, 13, 14, 15, 16], batch_size=4, seed=5)
    key = jax.random.fold_in(jax.random.key(5), 12)
    single = fidojax.fido(key, planted, jnp.asarray(images[2]), 0, **OPTIONS)
    np.testing.assert_allclose(batch.saliency[2], single.saliency, atol=1e-5)
    np.testing.assert_allclose(batch.info.objective[2], single.info.objective, atol=1e-4)


def test_chunks_of_steps_equal_single_steps(planted, images, monkeypatch):
    single = explain(planted, images, range(7))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(slots, "STEPS_PER_CALL", 5)
    chunked = explain(planted, images, range(7))
    np.testing.assert_allclose(single.saliency, chunked.saliency, atol=1e-5)
    assert chunked.info.objective.shape == (7, 12)


def test_the_first_program_does_not_differentiate_the_classifier(images):
    @jax.custom_vjp
    def classifier(images):
        return images.sum((1, 2))

    def forward(images):
        raise AssertionError("differentiated")

    classifier.defvjp(forward, forward)
    static, dynamic = split_options(OPTIONS)
    program = programs.Program(fidojax.fido, static)
    batch = memory.abstract_batch(images.shape[1:], {}, 2)
    begun = jax.eval_shape(
        lambda batch: programs.begin(program, programs.Model(Partial(classifier), dynamic), batch),
        batch,
    )
    assert {leaf.shape for leaf in jax.tree.leaves(begun.history)} == {(2, 12)}
    with pytest.raises(AssertionError, match="differentiated"):
        programs.lower(program, programs.Model(Partial(classifier), dynamic), batch)


def test_one_trace_for_a_thousand_images_and_three_sets_of_weights():
    traces = 0

    def counted(weights, images):
        nonlocal traces
        traces += 1
        return linear(weights, images)

    images = np.random.default_rng(1).uniform(size=(1000, 8, 8, 1)).astype(np.float32)
    options = {"infill": mean(0.0), "steps": 2, "samples": 2}
    counts = []
    for scale in (1.0, 2.0, 3.0):
        classifier = Partial(counted, jnp.full((8, 8, 1), scale))
        for lam in (1e-3, 1e-2):
            fidojax.explain_batch(
                "fido", classifier, images, [0] * 1000,
                options=options | {"lam": lam}, batch_size=125,
            )  # fmt: skip
            counts.append(traces)
    assert counts[0] > 0
    assert set(counts) == {counts[0]}


def test_the_rewrite_for_the_cpu_can_be_switched_off(planted, images):
    stock = explain(planted, images, range(7), rewrite=False)
    np.testing.assert_allclose(
        stock.info.objective, explain(planted, images, range(7)).info.objective, atol=1e-3
    )


def test_string_ids_seed_the_images(planted, images):
    first = explain(planted, images[:1], ["cat.png"])
    again = explain(planted, images[[3, 0]], ["dog.png", "cat.png"])
    other = explain(planted, images[:1], ["dog.png"])
    np.testing.assert_array_equal(first.saliency[0], again.saliency[1])
    assert np.any(first.saliency != other.saliency)


def test_one_shot_methods_and_options_per_image(planted, images):
    boxes = np.zeros((7, 1, 4), np.int32)
    boxes[:, 0, 2] = np.arange(1, 8)
    boxes[:, 0, 3] = 12
    result = fidojax.explain_batch(
        "object_box", planted, images, [0] * 7, each={"boxes": boxes}, batch_size=4
    )
    np.testing.assert_array_equal(result.saliency.sum(axis=(1, 2)), 12 * np.arange(1, 8))


def test_progress_counts_the_steps_of_all_pictures(planted, images):
    calls = []
    explain(planted, images, range(7), progress=lambda done, total: calls.append((done, total)))
    assert {total for _, total in calls} == {84}  # 7 pictures of 12 steps
    assert [done for done, _ in calls] == [12, 24, 36, 48, 60, 72, 78, 84]  # 6 steps of 2, then 1


def test_cancelling_from_the_progress_callback(planted, images):
    def stop(done, total):
        if done == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain(planted, images, range(7), progress=stop)


def test_batch_size_is_the_largest_that_fits(monkeypatch):
    classifier, shape = Partial(linear, jnp.ones((32, 32, 3))), (32, 32, 3)
    request = ExplainRequest("fido", classifier, {"infill": mean(0.0)})
    program, model = programs.program_and_model(request)

    def need(images):
        return memory.program_bytes(program, model, shape, {}, images)

    def found(most=100, platform="gpu"):
        here = replace(request, devices=[SimpleNamespace(platform=platform)])
        return memory.find_batch_size(here, shape, most)

    slope = need(2) - need(1)
    assert need(8) == pytest.approx(need(1) + 7 * slope, rel=0.05)
    for wanted in (1, 4, 16):
        room = need(1) + (wanted * 1.4 - 1) * slope
        monkeypatch.setattr(
            memory, "free_bytes", lambda device, room=room: room * memory.MARGIN / memory.SHARE
        )
        assert found() == wanted
    assert (found(1), found(5)) == (1, 8)
    monkeypatch.setattr(memory, "program_bytes", None)  # nothing is compiled on CPUs
    monkeypatch.setattr(memory, "CPU_PIXELS", 10 * 8 * 32 * 32)
    assert (found(platform="cpu"), found(7, platform="cpu")) == (10, 7)


def test_on_cpus_methods_of_few_passes_share_a_call(monkeypatch):
    classifier, shape = Partial(linear, jnp.ones((32, 32, 3))), (32, 32, 3)
    monkeypatch.setattr(memory, "CPU_PIXELS", 12 * 32 * 32)

    def found(method, most=100, **options):
        here = [SimpleNamespace(platform="cpu")]
        return memory.find_batch_size(
            ExplainRequest(method, classifier, options, devices=here), shape, most
        )

    assert (found("gradient"), found("gradient", 7)) == (12, 7)
    assert (found("deeplift", rule="rescale"), found("deeplift")) == (6, 2)
    assert found("rise") == 1  # fills a batch by itself
    assert found(lambda key, classifier, image, target: None) == 1


def test_the_classifier_sees_one_flat_batch():
    """Images and masks become one convolution, not a grouped one."""
    kernel = jnp.ones((3, 3, 3, 2))

    def convolve(kernel, images):
        features = jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return features.mean(axis=(1, 2))

    program = programs.Program(fidojax.fido, (("samples", 4), ("steps", 2)))
    model = programs.Model(Partial(convolve, kernel), {"infill": mean(0.0)})
    text = programs.lower(program, model, memory.abstract_batch((16, 16, 3), {}, 5)).as_text()
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert any("tensor<20x16x16x3xf32>" in line for line in convolutions)
    assert all("feature_group_count = 1 " in line for line in convolutions)


def test_eight_devices_give_the_same_bits_as_one():
    program = """
        import jax, numpy as np, jax.numpy as jnp
        from jax.tree_util import Partial
        import fidojax
        from infillers import mean
        from tests.conftest import linear

        assert jax.local_device_count() == 8
        weights = jax.random.normal(jax.random.key(0), (12, 12, 3))
        images = np.random.default_rng(0).uniform(size=(30, 12, 12, 3)).astype(np.float32)
        options = {"infill": mean(0.0), "steps": 12, "samples": 4}
        runs = [
            fidojax.explain_batch("fido", Partial(linear, weights), images, [0] * 30,
                                  options=options, batch_size=2, devices=jax.devices()[:n])
            for n in (1, 8)
        ]
        for other in runs[1:]:
            for a, b in zip(jax.tree.leaves(runs[0]), jax.tree.leaves(other), strict=True):
                np.testing.assert_array_equal(a, b)
    """
    in_a_process(program, "--xla_force_host_platform_device_count=8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((12, 12, 3))}, r"expected \(n, h, w, c\)"),
        ({"images": np.full((2, 4, 4, 3), 255.0)}, r"expected \[0, 1\]"),
        ({"targets": [0]}, r"expected \(2,\)"),
        ({"ids": [1]}, "ids are 1, expected one for each of 2 images"),
        ({"each": {"boxes": np.zeros((3, 1, 4))}}, "boxes has 3 rows"),
        ({"method": "fydo"}, "method: there is no 'fydo'; did you mean fido"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_bad_input_gets_one_clear_sentence(change, message, planted):
    arguments = {
        "method": "max_box", "classifier": planted, "images": np.zeros((2, 12, 12, 3)),
        "targets": [0, 0], "batch_size": 1,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        fidojax.explain_batch(**(arguments | change))


def test_the_old_name_of_the_batch_size_still_works(planted, images):
    explain: Any = fidojax.explain_batch
    with pytest.warns(DeprecationWarning, match="'micro_batch' is now called 'batch_size'"):
        old = explain("gradient", planted, images, [0] * 7, micro_batch=2)
    new = explain("gradient", planted, images, [0] * 7, batch_size=2)
    np.testing.assert_array_equal(old.saliency, new.saliency)
    with pytest.raises(TypeError, match="give batch_size"):
        explain("gradient", planted, images, [0] * 7, micro_batch=2, batch_size=2)


def test_a_request_says_what_its_method_cannot_do(planted):
    request = ExplainRequest("fido", planted, {"infill": mean(0.0), "steps": 5, "samples": 3})
    loop = request.loop()
    assert loop is not None
    assert (loop.steps, loop.evaluations) == (5, 3)
    request.check()
    replace(request, stop=fidojax.Stop()).check()
    gradient = ExplainRequest("gradient", planted, stop=fidojax.Stop())
    assert gradient.loop() is None
    with pytest.raises(ValueError, match="--stop-early: gradient has no mask that converges"):
        gradient.check(stop="--stop-early")
    with pytest.raises(ValueError, match="batch_size is None"):
        _ = gradient.pictures_at_once
    with pytest.raises(ValueError, match="did you mean fido"):
        _ = ExplainRequest("fydo", planted).function
