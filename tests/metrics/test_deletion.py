"""Deletion and insertion: published numbers, slow loops, planted classifiers, invariances."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import beside_zero
from jax.tree_util import Partial

import infillers
from fidojax.metrics import deletion, insertion, preservation, removal
from fidojax.metrics.deletion import GRIDS, area

SIDE = 6
BLACK = infillers.mean(0.0)
BOTH = pytest.mark.parametrize("metric", [deletion, insertion])
NAMES = ("steps", "grid", "axis", "step0", "ties", "empty", "score", "chunk")
compiled = {metric: jax.jit(metric, static_argnames=NAMES) for metric in (deletion, insertion)}
RAMP = (jnp.arange(16.0).reshape(4, 4) - 4) / 10
"""The weights of L16, and its map where the picture is white."""


def _linear(weights, images):
    value = jnp.einsum("nhwc,hwc->n", images, weights)
    return jnp.stack([value, jnp.zeros_like(value)], axis=-1)


def linear(weights) -> Partial:
    """Logits (<w, x>, 0), so that the log-odds are <w, x>."""
    return Partial(_linear, jnp.asarray(weights, jnp.float32))


def _whole(images):
    return beside_zero(jnp.all(images > 0, axis=(1, 2, 3)).astype(images.dtype))


def _curved(weights, images):
    return jnp.tanh(images.reshape(len(images), -1) @ weights) * 3


@pytest.fixture
def curved() -> Partial:
    return Partial(_curved, jax.random.normal(jax.random.key(5), (SIDE * SIDE * 3, 3)))


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(1), (SIDE, SIDE, 3))


@pytest.fixture
def saliency():
    return jax.random.normal(jax.random.key(2), (SIDE, SIDE))


def run(metric, classifier, image, saliency, target=0, *, key=None, infill=BLACK, **options):
    key = jax.random.key(0) if key is None else key
    return compiled[metric](key, classifier, image, target, saliency, infill=infill, **options)


def on_l16(saliency, brightness=1.0, metric=deletion, **options):
    picture = jnp.full((4, 4, 1), brightness)
    return run(metric, linear(RAMP[..., None]), picture, saliency, score="logit", **options)


def test_pixel_flipping_and_its_areas():
    """Q-PF-1, Q-PF-3, AUC-1: the same curve has -0.5 and 0.8, by the convention."""
    for brightness in (1, 2):
        found = on_l16(brightness * RAMP, float(brightness), steps=4)
        np.testing.assert_array_equal(found.pixels, [0, 4, 8, 12, 16])
        expected = brightness * np.array([5.6, 1.8, -0.4, -1, 0])
        np.testing.assert_allclose(found.curve, expected, atol=1e-5)
        assert float(found.auc) == pytest.approx(0.8 * brightness, abs=1e-6)
        peers = area(found.curve, found.pixels, axis="step", step0=False)
        assert float(peers) == pytest.approx(-0.5 * brightness, abs=1e-5)
    chosen = on_l16(RAMP, steps=4, axis="step", step0=False)
    assert float(chosen.auc) == pytest.approx(-0.5, abs=1e-5)


def test_selectivity_is_deletion_of_a_pooled_map():
    """Q-SEL: whole patches of 2 x 2 go."""
    pooled = jnp.kron(RAMP.reshape(2, 2, 2, 2).sum((1, 3)), jnp.ones((2, 2)))
    found = on_l16(pooled, steps=4)
    np.testing.assert_allclose(found.curve[1:], [2.2, -0.4, -0.6, 0], atol=1e-5)


def test_perfect_deletion():
    """DEL-1: the score is gone with the first of 256 pixels."""
    picture = jax.random.uniform(jax.random.key(0), (16, 16, 1), minval=0.1)
    found = run(deletion, Partial(_whole), picture, picture[..., 0], steps=256, score="logit")
    assert float(found.auc) == pytest.approx(0.5 / 256, rel=1e-5)
    np.testing.assert_allclose(found.needed, np.arange(1, 10) / 10, rtol=1e-5)


def test_curves_are_those_of_removal_and_preservation(curved, image, saliency):
    """Which are tested against slow loops; the infiller looks at what remains."""
    infill = infillers.local(3, 0.1)
    options = {"infill": infill, "steps": SIDE * SIDE, "chunk": 7}
    fall = run(deletion, curved, image, saliency, 1, **options)
    key = jax.random.key(0)
    slow = removal(key, curved, image, 1, saliency, infill=infill)
    np.testing.assert_allclose(fall.curve, slow.curve, atol=2e-5)
    np.testing.assert_array_equal(fall.pixels, slow.removed)
    rise = run(insertion, curved, image, saliency, 1, **options)
    slow = preservation(key, curved, image, 1, saliency, infill=infill)
    np.testing.assert_allclose(rise.curve, slow.curve[::-1], atol=2e-5)


def slow_needed(curve, pixels, level) -> float:
    progress = (curve - curve[0]) / (curve[-1] - curve[0])
    for i in range(1, len(curve)):
        if progress[i] >= level:
            share = (level - progress[i - 1]) / (progress[i] - progress[i - 1])
            return pixels[i - 1] + share * (pixels[i] - pixels[i - 1])
    raise AssertionError


@pytest.mark.parametrize(
    ("metric", "grid"), [*((deletion, grid) for grid in GRIDS), (insertion, "even")]
)
def test_pixels_needed_and_area_are_the_slow_ones(metric, grid, image, saliency):
    classifier = linear(jax.random.normal(jax.random.key(7), image.shape))
    levels = jnp.array([0.05, 0.5, 0.9, 1.0])
    found = run(metric, classifier, image, saliency, steps=9, grid=grid, levels=levels)
    curve, pixels = (np.asarray(part, np.float64) for part in (found.curve, found.pixels))
    assert len(np.unique(np.sign(np.diff(curve)))) == 2  # goes up and down
    assert float(found.progress[0]) == 0
    assert float(found.progress[-1]) == 1
    expected = [slow_needed(curve, pixels, level) for level in levels]
    np.testing.assert_allclose(found.needed, expected, rtol=1e-4)
    np.testing.assert_allclose(found.auc, np.trapezoid(curve, pixels / SIDE**2), rtol=1e-5)


def test_grids():
    image, saliency = jnp.ones((10, 10, 1)), jnp.arange(100.0).reshape(10, 10)
    classifier = linear(np.ones((10, 10, 1)))
    even = run(deletion, classifier, image, saliency, steps=8)
    np.testing.assert_array_equal(even.pixels, [0, 12, 25, 38, 50, 62, 75, 88, 100])
    few = run(deletion, classifier, image, saliency, steps=5, grid="geometric")
    np.testing.assert_array_equal(few.pixels, [0, 1, 3, 10, 32, 100])
    every = run(deletion, classifier, image, saliency, steps=1000)
    np.testing.assert_array_equal(every.pixels, np.arange(101))
    np.testing.assert_allclose(every.needed, 10 * np.arange(1, 10), rtol=1e-4)
    # Every pixel counts the same here, so any grid needs as many.
    for coarse in (even, few):
        np.testing.assert_allclose(coarse.needed, every.needed, rtol=1e-4)


def test_areas_by_hand():
    curve, pixels = jnp.array([4.0, 2, 1, 0]), jnp.array([0, 1, 3, 9])
    assert float(area(curve, pixels)) == pytest.approx((3 + 3 + 3) / 9)
    assert float(area(curve, pixels, step0=False)) == pytest.approx((3 + 3) / 8)
    assert float(area(curve, pixels, axis="step")) == 5
    assert float(area(curve, pixels, axis="step", step0=False)) == 2


@pytest.mark.parametrize(("metric", "infill"), [(deletion, infillers.local(3)), (insertion, BLACK)])
def test_perfect_beats_random_beats_inverted(metric, infill):
    weights = np.zeros((12, 12, 3))
    weights[3:7, 4:9] = 0.05
    truth = jnp.asarray(weights.sum(-1), jnp.float32) * 0.9
    # What counts is bright on a dark ground, so that the local mean hides it, too.
    picture = jnp.full((12, 12, 3), 0.1).at[3:7, 4:9].set(0.9)
    chances = jax.random.normal(jax.random.key(3), (12, 12, 12))
    maps = jnp.stack([truth, -truth, *chances])
    found = jax.vmap(
        lambda m: compiled[metric](
            jax.random.key(0), linear(weights), picture, 0, m, infill=infill, steps=24
        )
    )(maps)
    better = 1 if metric is insertion else -1
    for number, sign in ((found.auc, better), (found.needed[:, 4], -1)):
        perfect, inverted, chance = (sign * number[0], sign * number[1], sign * number[2:].mean())
        assert perfect > chance > inverted
    assert float(found.needed[0, 4]) < 20 < float(found.needed[2:, 4].mean())


def test_colours_go_together():
    """A picture of three equal colours has the numbers of the grey one."""
    grey = jax.random.uniform(jax.random.key(1), (SIDE, SIDE, 1))
    weights = jax.random.uniform(jax.random.key(2), (SIDE, SIDE, 1))
    saliency = jax.random.normal(jax.random.key(3), (SIDE, SIDE))
    rgb, thirds = jnp.repeat(grey, 3, axis=-1), jnp.repeat(weights / 3, 3, axis=-1)
    one = run(deletion, linear(weights), grey, saliency, steps=7)
    three = run(deletion, linear(thirds), rgb, saliency, steps=7)
    for got, expected in zip(three, one, strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-5)


def test_a_picture_is_scored_alone_whatever_else_is_in_the_batch(curved, image, saliency):
    """Another picture a thousand times brighter, other maps, another order: the same numbers."""
    infill = infillers.random()

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, 0))
    def batch(key, image, saliency):
        return deletion(key, curved, image, 0, saliency, infill=infill, steps=9, chunk=4)

    keys = jax.random.split(jax.random.key(0), 3)
    images = jnp.stack([image, 1000 * image, 0.2 * image])
    maps = jnp.stack([saliency, 50 * saliency**2, -saliency])
    together, turned = batch(keys, images, maps), batch(keys[::-1], images[::-1], maps[::-1])
    # Nor does it matter how many points of the curve are computed at once.
    alone = run(deletion, curved, image, saliency, key=keys[0], infill=infill, steps=9)
    for all_, other, own in zip(together, turned, alone, strict=True):
        np.testing.assert_allclose(all_[0], own, atol=3e-5)
        np.testing.assert_allclose(all_[0], other[2], atol=3e-5)


def test_a_map_without_an_order_has_no_number(curved, image, saliency):
    broken = (saliency.at[0, 0].set(jnp.nan), saliency.at[1, 2].set(jnp.inf))
    for own in (*broken, jnp.zeros((SIDE, SIDE)), jnp.full((SIDE, SIDE), 0.3)):
        found = run(deletion, curved, image, own, steps=5)
        for number in (found.curve, found.progress, found.needed, found.auc):
            assert np.all(np.isnan(number))
    assert np.isnan(run(deletion, curved, image, broken[0], steps=5, empty="order").auc)


def test_ties_go_in_the_order_that_the_option_says():
    # In row-major order the weights fall out one by one.
    in_rows = on_l16(jnp.zeros((4, 4)), steps=4, empty="order")
    np.testing.assert_allclose(in_rows.curve, [5.6, 6.6, 6.0, 3.8, 0], atol=1e-5)
    tied = jnp.where(RAMP > 0.35, 1.0, 0.0)  # the last eight
    keys = jax.random.split(jax.random.key(1), 400)
    draws = jax.vmap(lambda key: on_l16(tied, steps=4, ties="random", key=key).curve)(keys)
    # The groups keep their places, and within one every pixel has the same chance.
    np.testing.assert_allclose(draws[:, 2], -0.4, atol=1e-5)
    np.testing.assert_allclose(draws.mean(0), [5.6, 2.6, -0.4, -0.2, 0], atol=0.06)
    assert float(draws[:, 1].std()) > 0.1
    untied = on_l16(RAMP, steps=4, ties="random")
    np.testing.assert_array_equal(untied.curve, on_l16(RAMP, steps=4).curve)


def test_a_constant_picture_is_still_deleted():
    """A fill taken from the picture itself, its minimum or mean, would change nothing."""
    picture = jnp.full((SIDE, SIDE, 3), 0.4)
    ramp = jnp.arange(36.0).reshape(SIDE, SIDE)
    classifier = linear(np.ones((SIDE, SIDE, 3)))
    found = run(deletion, classifier, picture, ramp, steps=36)
    np.testing.assert_allclose(found.curve, 1.2 * np.arange(36, -1, -1), atol=1e-4)
    np.testing.assert_allclose(found.needed, 3.6 * np.arange(1, 10), rtol=1e-4)


@BOTH
def test_where_nothing_is_suppressed_there_is_no_progress(metric, saliency):
    """All pixels speak against the class: the infill alone scores higher."""
    found = run(metric, linear(-np.ones((SIDE, SIDE, 1))), jnp.ones((SIDE, SIDE, 1)), saliency)
    assert np.all(np.isnan(found.progress))
    assert np.all(np.isnan(found.needed))
    assert np.all(np.isfinite(found.curve))
    assert np.isfinite(found.auc)


def test_bad_options_are_named(curved, image, saliency):
    call = partial(deletion, jax.random.key(0), curved, image, 0, saliency, infill=BLACK)
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"steps": 0}, "steps is 0"),
        ({"chunk": 0}, "chunk is 0"),
        ({"grid": "evn"}, "grid: there is no 'evn'; did you mean even"),
        ({"axis": "pixels"}, "axis: there is no"),
        ({"ties": "first"}, "ties: there is no"),
        ({"empty": "zero"}, "empty: there is no"),
        ({"score": "odds"}, "score: there is no 'odds'; did you mean log_odds"),
    )
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            call(**options)
