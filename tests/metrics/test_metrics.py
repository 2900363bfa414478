"""Metrics against slow loops, enumeration and planted classifiers."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jax.tree_util import Partial

import infillers
from fidojax.metrics import (
    METRIC_ROWS,
    METRICS,
    expected_objective,
    mixture,
    preservation,
    removal,
    sufficiency,
)

SIDE = 5
BLACK = infillers.mean(0.0)


def _linear(weights, images):
    """Logits (<w, x>, 0), so that the log-odds are <w, x>."""
    value = jnp.einsum("nhwc,hwc->n", images, weights)
    return jnp.stack([value, jnp.zeros_like(value)], axis=-1)


def _shifted(classifier, images):
    return classifier(images) - jnp.array([20.0, 0.0])


def _curved(weights, images):
    """Three classes of which none is linear in the pixels."""
    return jnp.tanh(images.reshape(len(images), -1) @ weights) * 3


def planted(weights) -> Partial:
    return Partial(_linear, jnp.asarray(weights, jnp.float32))


@pytest.fixture
def curved() -> Partial:
    weights = jax.random.normal(jax.random.key(5), (SIDE * SIDE * 3, 3))
    return Partial(_curved, weights)


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(1), (SIDE, SIDE, 3))


@pytest.fixture
def saliency():
    return jax.random.normal(jax.random.key(2), (SIDE, SIDE))


def slow_log_odds(classifier, picture, target) -> float:
    logits = np.asarray(classifier(jnp.asarray(picture)[None])[0], np.float64)
    p = np.exp(logits) / np.exp(logits).sum()
    return float(np.log(p[target]) - np.log(1 - p[target]))


def slow_curve(classifier, picture, target, order, infill) -> np.ndarray:
    """One pixel after the other, in the order of a list of (row, column)."""
    picture = np.asarray(picture)
    keep = np.ones(picture.shape[:2], np.float32)
    curve = [slow_log_odds(classifier, picture, target)]
    for row, column in order:
        keep[row, column] = 0
        reference = np.asarray(infill(jax.random.key(0), jnp.asarray(picture), jnp.asarray(keep)))
        mixed = np.where(keep[..., None] == 1, picture, reference)
        curve.append(slow_log_odds(classifier, mixed, target))
    return np.array(curve)


def slow_order(saliency) -> list[tuple[int, int]]:
    """Most salient first."""
    saliency = np.asarray(saliency)
    places = itertools.product(range(saliency.shape[0]), range(saliency.shape[1]))
    return sorted(places, key=lambda at: -saliency[at])  # Python's sort is stable


@pytest.mark.parametrize("name", ["mean", "local", "blur"])
def test_removal_and_preservation_are_the_slow_loop(name, curved, image, saliency):
    # local looks at the pixels that remain, so a wrong mask shows.
    infill = {
        "mean": infillers.mean(0.3),
        "local": infillers.local(3, 0.1),
        "blur": infillers.blur(1.0),
    }[name]
    options: dict[str, Any] = {"infill": infill, "chunk": 7}
    fall = removal(jax.random.key(0), curved, image, 1, saliency, **options)
    expected = slow_curve(curved, image, 1, slow_order(saliency), infill)
    np.testing.assert_allclose(fall.curve, expected, atol=2e-5)
    np.testing.assert_allclose(fall.statistic, (expected[0] - expected[1:]).max(), atol=2e-5)
    assert int(fall.at) == 1 + np.argmax(expected[0] - expected[1:])
    np.testing.assert_array_equal(fall.removed, np.arange(SIDE * SIDE + 1))

    rise = preservation(jax.random.key(0), curved, image, 1, saliency, **options)
    expected = slow_curve(curved, image, 1, slow_order(saliency)[::-1], infill)
    np.testing.assert_allclose(rise.curve, expected, atol=2e-5)
    np.testing.assert_allclose(rise.statistic, (expected - expected[0]).max(), atol=2e-5)


def test_removal_never_counts_the_untouched_picture():
    # Every pixel speaks against the class: removing only raises the score, preserving nothing less.
    classifier = planted(-np.ones((2, 2, 1)))
    image = jnp.full((2, 2, 1), 0.5)
    ramp = jnp.arange(4.0).reshape(2, 2)
    fall = removal(jax.random.key(0), classifier, image, 0, ramp, infill=BLACK)
    np.testing.assert_allclose(fall.statistic, -0.5, atol=1e-6)
    assert int(fall.at) == 1
    steady = preservation(
        jax.random.key(0), planted(np.ones((2, 2, 1))), image, 0, ramp, infill=BLACK
    )
    assert float(steady.statistic) == 0
    assert int(steady.at) == 0


@pytest.mark.parametrize("metric", [removal, preservation])
def test_perfect_map_beats_random_beats_inverted(metric):
    weights = np.random.default_rng(0).normal(size=(SIDE, SIDE, 3))
    weights -= weights.mean()  # for and against balance, so removing everything changes nothing
    image = jnp.full((SIDE, SIDE, 3), 0.7)
    truth = jnp.asarray(weights.sum(-1), jnp.float32)
    chances = jax.random.normal(jax.random.key(3), (16, SIDE, SIDE))
    perfect, inverted, *chances = jax.vmap(
        lambda m: metric(jax.random.key(0), planted(weights), image, 0, m, infill=BLACK).statistic
    )(jnp.stack([truth, -truth, *chances]))
    chance = np.mean(chances)
    contributions = 0.7 * weights.sum(-1)
    best = contributions[contributions > 0].sum()
    worst = -contributions[contributions < 0].sum()
    # A fall takes the supporting pixels, a rise those that speak against the class.
    np.testing.assert_allclose(perfect, best if metric is removal else worst, rtol=1e-5)
    assert perfect > chance + 0.5
    assert chance > inverted + 0.5


def test_ties_go_in_row_major_order_and_backwards_in_preservation():
    weights = jnp.arange(1.0, 7.0).reshape(2, 3, 1)
    image = jnp.ones((2, 3, 1))
    flat = jnp.zeros((2, 3))
    tied = jnp.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    for metric, saliency, expected in (
        (removal, flat, [21, 20, 18, 15, 11, 6, 0]),
        (preservation, flat, [21, 15, 10, 6, 3, 1, 0]),
        (removal, tied, [21, 19, 15, 9, 8, 5, 0]),
        (preservation, tied, [21, 16, 13, 12, 6, 2, 0]),
    ):
        result = metric(jax.random.key(0), planted(weights), image, 0, saliency, infill=BLACK)
        np.testing.assert_allclose(result.curve, expected, atol=1e-5)


def test_a_constant_image_is_still_removed():
    # A fill taken from the image itself would change nothing here.
    image = jnp.full((SIDE, SIDE, 1), 0.4)
    ramp = jnp.arange(25.0).reshape(SIDE, SIDE)
    fall = removal(
        jax.random.key(0), planted(np.ones((SIDE, SIDE, 1))), image, 0, ramp, infill=BLACK
    )
    np.testing.assert_allclose(fall.curve, 0.4 * np.arange(25, -1, -1), atol=1e-5)


def test_colours_go_together():
    grey = jax.random.uniform(jax.random.key(1), (SIDE, SIDE, 1))
    weights = jax.random.normal(jax.random.key(2), (SIDE, SIDE, 1))
    ramp = jax.random.normal(jax.random.key(3), (SIDE, SIDE))
    one = removal(jax.random.key(0), planted(weights), grey, 0, ramp, infill=BLACK)
    three = removal(
        jax.random.key(0),
        planted(jnp.repeat(weights / 3, 3, axis=-1)),
        jnp.repeat(grey, 3, axis=-1),
        0,
        ramp,
        infill=BLACK,
    )
    np.testing.assert_allclose(one.curve, three.curve, atol=1e-5)


@pytest.mark.parametrize("metric", [removal, preservation])
def test_chunks_change_no_value(metric, curved, image, saliency):
    # The random infiller gives each step its own key, whatever the chunk.
    curves = [
        metric(
            jax.random.key(0), curved, image, 2, saliency, infill=infillers.random(), chunk=chunk
        ).curve
        for chunk in (1, 7, 1000)
    ]
    for curve in curves[1:]:
        np.testing.assert_allclose(curve, curves[0], atol=1e-5)


def test_stride_takes_every_so_many_pixels_and_the_last(curved, image, saliency):
    options: dict[str, Any] = {"infill": BLACK}
    full = removal(jax.random.key(0), curved, image, 0, saliency, **options)
    coarse = removal(jax.random.key(0), curved, image, 0, saliency, stride=10, **options)
    np.testing.assert_array_equal(coarse.removed, [0, 10, 20, 25])
    np.testing.assert_allclose(coarse.curve, full.curve[np.array([0, 10, 20, 25])], atol=1e-5)


def test_a_map_that_is_not_finite_has_no_statistic(curved, image, saliency):
    broken = saliency.at[0, 0].set(jnp.nan)
    assert np.isnan(removal(jax.random.key(0), curved, image, 0, broken, infill=BLACK).statistic)


@pytest.fixture
def unchecked():
    """No run-time type checks, whose own error would come first."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


OPTIONS: dict[str, dict[str, Any]] = {
    "expected_objective": {"samples": 8},
    "faithfulness": {"samples": 20},
    "infidelity": {"samples": 20},
}
BOXES = jnp.array([[1, 1, 3, 4], [0, 0, 0, 0]])


def asked(name: str, infill=BLACK) -> dict[str, Any]:
    """The options without which the metric does not run."""
    row = METRIC_ROWS[name]
    return ({"infill": infill} if row.infill else {}) | ({"boxes": BOXES} if row.boxes else {})


@pytest.mark.parametrize("name", METRICS)
def test_vmap_equals_the_loop(name, curved, image, saliency):
    metric = partial(METRICS[name], **OPTIONS.get(name, {}))
    keys = jax.random.split(jax.random.key(4), 3)
    images = jnp.stack([image, image**2, 1 - image])
    maps = jax.nn.sigmoid(jnp.stack([saliency, -saliency, saliency**2]))
    targets = jnp.array([0, 1, 2])
    infill = infillers.random()

    def one(key, classifier, image, target, saliency, infill):
        return metric(key, classifier, image, target, saliency, **asked(name, infill))

    single = jax.jit(one)
    batched = jax.jit(jax.vmap(one, in_axes=(0, None, 0, 0, 0, None)))
    together = batched(keys, curved, images, targets, maps, infill)
    for i in range(3):
        alone = single(keys[i], curved, images[i], targets[i], maps[i], infill)
        for got, expected in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got[i], expected, atol=3e-5)


@pytest.mark.parametrize("name", METRICS)
def test_new_weights_do_not_trace_again(name, image, saliency):
    traces = 0

    def one(key, classifier, image, target, saliency):
        nonlocal traces
        traces += 1
        return METRICS[name](key, classifier, image, target, saliency, **asked(name))

    compiled = jax.jit(one)
    for seed in range(3):
        weights = jax.random.normal(jax.random.key(seed), image.shape)
        compiled(jax.random.key(0), planted(weights), image, 0, jax.nn.sigmoid(saliency))
    assert traces == 1


@pytest.mark.parametrize("name", METRICS)
def test_a_map_of_another_size_is_refused(name, curved, image, unchecked):
    with pytest.raises(ValueError, match=r"saliency has shape \(4, 5\), expected \(5, 5\)"):
        METRICS[name](jax.random.key(0), curved, image, 0, jnp.zeros((4, 5)), **asked(name))


def test_options_are_checked(curved, image, saliency):
    call = partial(removal, jax.random.key(0), curved, image, 0, saliency, infill=BLACK)
    with pytest.raises(ValueError, match="chunk is 0"):
        call(chunk=0)
    with pytest.raises(ValueError, match="stride is 0"):
        call(stride=0)
    with pytest.raises(ValueError, match="score: there is no 'odds'; did you mean log_odds"):
        call(score="odds")


# A-FIDO: four pixels, linear score, all sixteen masks can be enumerated.
WEIGHTS = np.array([1.0, -2.0, 3.0, 0.5])
PIXELS = np.array([1.0, 1.0, 2.0, 4.0])
REFERENCE = np.array([0.0, 1.0, -1.0, 2.0])
THETA = np.array([0.1, 0.9, 0.5, 0.3])


def _fixed_reference(reference, key, image, mask):
    del key, image, mask
    return reference


def square(values):
    return jnp.asarray(values, jnp.float32).reshape(2, 2)


def a_fido(objective, theta, **options):
    return expected_objective(
        jax.random.key(0),
        planted(WEIGHTS.reshape(2, 2, 1)),
        square(PIXELS)[..., None],
        0,
        square(theta),
        infill=Partial(_fixed_reference, square(REFERENCE)[..., None]),
        objective=objective,
        **options,
    )


def enumerated(theta) -> float:
    """E over z ~ Bernoulli(theta) of <w, z x + (1 - z) xhat>."""
    total = 0.0
    for bits in itertools.product([0, 1], repeat=4):
        z = np.array(bits)
        weight = np.prod(np.where(z == 1, theta, 1 - theta))
        total += weight * (WEIGHTS @ (z * PIXELS + (1 - z) * REFERENCE))
    return total


def test_expected_objective_is_the_enumeration():
    assert enumerated(THETA) == pytest.approx(0.9)
    result = a_fido("ssr", THETA, lam=0.0, tv=0.0, samples=20_000, chunk=1000)
    assert float(result.error) < 0.05
    assert float(result.score) == pytest.approx(0.9, abs=4 * float(result.error))
    # The spread of single masks: the variance of a sum of independent Bernoullis.
    spread = np.sqrt(np.sum((WEIGHTS * (PIXELS - REFERENCE)) ** 2 * THETA * (1 - THETA)))
    assert float(result.error) == pytest.approx(spread / np.sqrt(20_000), rel=0.05)


def test_expected_objective_signs():
    # At probabilities 0 and 1 nothing is random: the objectives are plain arithmetic.
    keep = np.array([1.0, 0.0, 1.0, 1.0])
    s = enumerated(keep)
    ssr = a_fido("ssr", keep, lam=0.1, tv=0.01, samples=2)
    sdr = a_fido("sdr", 1 - keep, lam=0.1, tv=0.01, samples=2)
    assert float(ssr.objective) == pytest.approx(-s + 0.1 * 3 + 0.01 * 2, abs=1e-5)
    assert float(sdr.objective) == pytest.approx(s + 0.1 * 1 + 0.01 * 2, abs=1e-5)
    assert float(ssr.area) == float(sdr.area) == 0.75
    assert float(ssr.error) == 0


def test_mixture_keeps_exactly_the_area_in_all_masks():
    # A white picture on black, and a classifier that counts: the log-odds are the kept share.
    side = 12
    image = jnp.ones((side, side, 1))
    counts = planted(np.full((side, side, 1), 1 / side**2))
    keep = jax.random.uniform(jax.random.key(0), (side, side))
    kept = int((keep > 0.5).sum())
    for objective, saliency in (("ssr", keep), ("sdr", 1 - keep)):
        result = mixture(
            jax.random.key(1), counts, image, 0, saliency, infill=BLACK, objective=objective
        )
        expected = jax.nn.sigmoid(kept / side**2)
        assert float(result.area) == pytest.approx(kept / side**2)
        for name in ("probability", "random", "coarse", "center"):
            assert float(getattr(result, name)) == pytest.approx(float(expected), abs=1e-6)
        assert float(result.original) == pytest.approx(float(jax.nn.sigmoid(1.0)), abs=1e-6)
        np.testing.assert_array_equal(result.image[..., 0], (keep > 0.5).astype(jnp.float32))


def test_mixture_samples_the_map():
    # Log-odds of +-20 by one pixel, which the map keeps 40% of the time, and no other.
    side = 4
    weights = np.zeros((side, side, 1))
    weights[1, 2] = 40
    classifier = Partial(_shifted, planted(weights))
    image = jnp.ones((side, side, 1))
    keep = jnp.zeros((side, side)).at[1, 2].set(0.4)
    result = mixture(jax.random.key(0), classifier, image, 0, keep, infill=BLACK, samples=500)
    assert float(result.probability) < 1e-6
    assert float(result.area) == 0
    assert float(result.sampled) == pytest.approx(0.4, abs=0.07)
    assert float(result.sampled_area) == pytest.approx(0.4 / 16)
    assert float(result.sampled_random) == pytest.approx(0.4 / 16, abs=0.025)
    dropped = mixture(
        jax.random.key(0),
        classifier,
        image,
        0,
        1 - keep,
        infill=BLACK,
        objective="sdr",
        samples=500,
    )
    assert float(dropped.sampled) == pytest.approx(float(result.sampled), abs=0.01)


def test_mixture_center_is_a_centred_box():
    side = 12
    saliency = jnp.zeros((side, side)).at[:4, :4].set(1.0)
    inside = np.zeros((side, side, 1))
    inside[4:8, 4:8] = 1
    result = mixture(
        jax.random.key(0), planted(inside), jnp.ones((side, side, 1)), 0, saliency, infill=BLACK
    )
    # The map keeps a corner, of which the classifier sees nothing; the centre is all it sees.
    assert float(result.probability) == pytest.approx(0.5)
    assert float(result.center) == pytest.approx(float(jax.nn.sigmoid(16.0)), abs=1e-6)


def test_mixture_of_nothing_and_of_everything():
    image = jnp.ones((4, 4, 1))
    counts = planted(np.ones((4, 4, 1)))
    nothing = mixture(jax.random.key(0), counts, image, 0, jnp.zeros((4, 4)), infill=BLACK)
    everything = mixture(jax.random.key(0), counts, image, 0, jnp.ones((4, 4)), infill=BLACK)
    for result, value in ((nothing, 0.5), (everything, float(everything.original))):
        assert float(result.probability) == float(result.random) == float(result.center) == value


def test_samples_of_a_map_keep_the_class_where_as_many_random_pixels_do_not():
    """The map always keeps the patch that counts, and a quarter of all else."""
    weights = np.zeros((12, 12, 1))
    weights[2:6, 3:8] = 0.25
    keep = jnp.where(weights[..., 0] > 0, 1.0, 0.25)
    seen = mixture(
        jax.random.key(0), planted(weights), jnp.ones((12, 12, 1)), 0, keep,
        infill=BLACK, samples=64,
    )  # fmt: skip
    assert float(seen.sampled_area) == pytest.approx(float(keep.mean()), rel=1e-6)
    assert float(seen.sampled) == pytest.approx(float(seen.original), rel=1e-5)
    assert float(seen.sampled_random) < 0.95 * float(seen.sampled)


def test_sufficiency_finds_the_planted_share():
    """p is 1/2 on the whole picture and logistic in the share of the planted pixels shown."""
    weights = np.zeros((10, 10, 1), np.float32)
    weights[2:6, 3:8] = 1.0  # 20 pixels, so log-odds 20 - 20 on the picture
    classifier = Partial(_shifted, planted(weights))
    image, perfect = jnp.ones((10, 10, 1)), jnp.asarray(weights[..., 0])
    # Half of 1/2 is p = 1/4: log-odds -log 3, so 19 of the 20 pixels.
    found = sufficiency(jax.random.key(0), classifier, image, 0, perfect, infill=BLACK)
    assert float(found.share) == pytest.approx(0.19)
    assert float(found.kept[0]) == 1
    assert float(found.kept[-1]) == 0
    np.testing.assert_allclose(found.curve[:2], 0.5, atol=1e-6)
    worst = sufficiency(jax.random.key(0), classifier, image, 0, 1 - perfect, infill=BLACK)
    assert float(worst.share) == pytest.approx(0.99)
    level = partial(sufficiency, level=1e-3, points=50, chunk=7)
    few = level(jax.random.key(0), classifier, image, 0, perfect, infill=BLACK)
    assert float(few.share) == pytest.approx(0.14)  # log-odds -7.6: 13 pixels, of 2 per point
    assert np.isnan(
        level(jax.random.key(0), classifier, image, 0, perfect * np.nan, infill=BLACK).share
    )
