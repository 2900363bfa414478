"""One picture's evaluations on several devices."""

import textwrap

import jax
import numpy as np
import pytest
from conftest import in_a_process

import fidojax
from fidojax.core import HasFeatures, Split, Transformed
from fidojax.engine import devices
from fidojax.engine.devices import Divided, Spread, divided, placements
from infillers import mean, random


def on_four_devices(program):
    """Run a program in a process whose CPU is four devices."""
    start = """
        import jax, numpy as np, jax.numpy as jnp
        import fidojax
        from fidojax.engine import Spread, concurrent_calls, divided
        from fidojax.networks import ResNet, from_nnx
        from flax import nnx
        from infillers import mean
        assert jax.local_device_count() == 4
        jax.config.update("jax_disable_most_optimizations", True)
        spread = Spread(jax.devices())
        network = from_nnx(ResNet(5, (8,), (1,), rngs=nnx.Rngs(0)))
        images = np.random.default_rng(0).uniform(size=(9, 12, 12, 3)).astype(np.float32)
        near = lambda a, b, atol: np.testing.assert_allclose(a, b, atol=atol)
    """
    program = textwrap.dedent(start) + textwrap.dedent(program)
    in_a_process(program, "--xla_force_host_platform_device_count=4")


def test_logits_and_gradients_stay_whatever_the_batch():
    on_four_devices("""
        whole = divided(network, spread)
        for count in (1, 2, 4, 7, 9):
            def score(classifier, images):
                return (classifier(images) ** 2).sum()
            both = jax.jit(jax.value_and_grad(score, argnums=(0, 1)))
            value, (weights, pixels) = both(network, images[:count])
            also, (of_whole, also_pixels) = both(whole, images[:count])
            near(also, value, 1e-4)
            near(also_pixels, pixels, 1e-4)
            for a, b in zip(jax.tree.leaves(weights), jax.tree.leaves(of_whole), strict=True):
                near(b, a, 1e-3)
        text = jax.jit(lambda c, x: c(x)).lower(whole, images[:8]).compile().as_text()
        assert "f32[2,12,12,3]" in text and "f32[8,12,12,3]" not in text.split("ENTRY")[0]
    """)


def test_maps_of_the_engine_stay_up_to_rounding_and_nothing_is_compiled_twice():
    on_four_devices("""
        options = {"infill": mean(0.0), "steps": 30, "samples": 6, "learning_rate": 0.01}
        more = {"options": options, "batch_size": 2}
        assert concurrent_calls(spread) == 1
        alone = fidojax.explain_batch("fido", network, images, [0] * 9, **more,
                                      devices=jax.devices()[:1])
        compiled = []
        jax.monitoring.register_event_duration_secs_listener(
            lambda event, seconds, **about: compiled.append((event, about.get("fun_name"))))
        together = fidojax.explain_batch("fido", network, images, [0] * 9, **more, devices=spread)
        program = "/jax/core/compile/backend_compile_duration", "jit(advance)"
        assert compiled.count(program) == 1, compiled
        near(together.saliency, alone.saliency, 1e-3)
        assert alone.saliency.std() > 0.01
        again = fidojax.explain_batch("fido", network, images[3:4], [0], ids=[3], **more,
                                      devices=spread)
        np.testing.assert_array_equal(again.saliency[0], together.saliency[3])
        occlusion = {"infill": mean(0.0), "window": 4, "stride": 4, "chunk": 3}
        near(*(fidojax.explain_batch("occlusion", network, images[:2], [0] * 2, options=occlusion,
                                     devices=devices).saliency
               for devices in (spread, jax.devices()[:1])), 1e-5)
    """)


def test_features_can_still_be_tapped(planted):
    split = Split(lambda images: images * 2, planted)
    whole = divided(split, Spread(jax.devices()[:1]))
    assert isinstance(whole, HasFeatures)
    features, rest = whole.tap(np.ones((1, 12, 12, 3), np.float32))
    np.testing.assert_array_equal(rest(features), split(np.ones((1, 12, 12, 3), np.float32)))


def test_devices_that_are_dealt_pictures_leave_the_classifier_alone(planted):
    assert divided(planted, jax.devices()) is planted
    assert placements(jax.devices()) == list(jax.devices())
    whole = divided(planted, Spread(jax.devices()))
    assert isinstance(whole, Transformed)
    assert isinstance(whole.transform, Divided)


@pytest.mark.parametrize("method", ["bbmp", "extremal_perturbation"])
def test_methods_with_one_evaluation_per_step_cannot_be_spread(method, planted):
    images = np.zeros((1, 12, 12, 3), np.float32)
    with pytest.raises(ValueError, match=f"devices: {method} shows the classifier one picture"):
        fidojax.explain_batch(
            method, planted, images, [0], options={"infill": mean(), "steps": 2},
            devices=Spread(jax.devices()),
        )  # fmt: skip


def test_an_empty_spread_is_no_spread(planted):
    images = np.zeros((1, 12, 12, 3), np.float32)
    options = {"infill": random(), "steps": 2, "samples": 2}
    fidojax.explain_batch("fido", planted, images, [0], options=options, devices=Spread())


@pytest.mark.parametrize(("flags", "count"), [("", 3), ("host_platform_device_count=2", 2)])
def test_the_cpu_is_split_once_unless_somebody_has(flags, count):
    program = """
        import jax
        from fidojax.engine import split_cpu
        split_cpu(3)
        print(jax.local_device_count())
        split_cpu(4)
        print(jax.local_device_count())
    """
    printed = in_a_process(program, flags and f"--xla_force_{flags}")
    assert printed.split() == [str(count)] * 2


def test_the_same_bits_on_any_number_of_devices_that_share_as_many_threads(monkeypatch):
    monkeypatch.setenv("NPROC", "5")
    program = """
        import hashlib, jax, jax.extend, numpy as np
        import fidojax
        from fidojax.engine import dividing_threads
        from fidojax.networks import ResNet, from_nnx
        from flax import nnx
        from infillers import random
        images = np.random.default_rng(0).uniform(size=(5, 17, 17, 3)).astype(np.float32)
        options = {"infill": random(), "steps": 12, "samples": 3, "learning_rate": 0.3}
        for count in (1, 2, 3, 5):
            jax.extend.backend.clear_backends()
            jax.config.update("jax_num_cpu_devices", count)
            network = from_nnx(ResNet(5, (8,), (1,), rngs=nnx.Rngs(0)))
            found = fidojax.explain_batch("fido", network, images, [0] * 5, options=options,
                                          batch_size=2)
            print(jax.local_device_count(), dividing_threads("cpu"),
                  hashlib.sha256(found.saliency.tobytes()).hexdigest())
    """
    printed = [line.split() for line in in_a_process(program, "").splitlines()]
    assert [row[:2] for row in printed] == [[count, "5"] for count in "1235"]
    assert len({row[2] for row in printed}) == 1


@pytest.mark.parametrize(
    ("told", "cores", "threads"), [("", 3, 3), ("4", 3, 4), ("0", 3, 1), ("many", 2, 2)]
)
def test_the_threads_among_which_xla_divides(told, cores, threads, monkeypatch):
    monkeypatch.setenv("NPROC", told)
    monkeypatch.setattr(devices, "cores", lambda: cores)
    assert devices.dividing_threads("cpu") == threads
    assert devices.dividing_threads("gpu") == 1
