"""Faithfulness and infidelity: published numbers, slow loops, planted classifiers, what must not
matter."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.tree_util import Partial

import infillers
from fidojax.methods.integrated_gradients import integrated_gradients
from fidojax.metrics import faithfulness, infidelity
from fidojax.metrics.faithfulness import groups, pearson, spearman
from fidojax.metrics.infidelity import squared_error

KEY = jax.random.key(0)
BLACK, WHITE = infillers.mean(0.0), infillers.mean(1.0)
NAMES = ("share", "samples", "chunk", "score")
compiled = {
    faithfulness: jax.jit(faithfulness, static_argnames=(*NAMES, "drop")),
    infidelity: jax.jit(infidelity, static_argnames=(*NAMES, "perturbation", "scale")),
}


def _linear(weights, images):
    value = jnp.einsum("nhwc,hwc->n", images, weights)
    return jnp.stack([value, jnp.zeros_like(value)], axis=-1)


def linear(weights) -> Partial:
    """Logits (<w, x>, 0), so that the log-odds are <w, x>."""
    return Partial(_linear, jnp.asarray(weights, jnp.result_type(float)))


def multilayer(add, factor, images):
    """ML."""
    hidden = (images.reshape(len(images), -1) + add) @ jnp.ones((3, 4))
    hidden = jax.nn.relu(hidden + jnp.array([-10.0, 1, 1, 1]))
    return factor * (hidden @ jnp.ones((4, 2)) + jnp.array([-1.0, 1]))


def row(*values):
    """A picture of one row and one colour."""
    return jnp.asarray(values, float)[None, :, None]


def run(metric, classifier, image, saliency, target=0, *, key=KEY, infill=BLACK, **options):
    return compiled[metric](key, classifier, image, target, saliency, infill=infill, **options)


RAMP = (jnp.arange(16.0).reshape(4, 4) - 4) / 10
"""The weights of L16, and its contributions where the picture is white."""


@pytest.mark.parametrize("options", [{"drop": "ranked", "samples": 16}, {"share": 0.25}])
def test_a_map_of_contributions_correlates_perfectly(options):
    """Q-FE (estimate and correlation), MU-1 (rank correlation)."""
    for weights in (RAMP, jnp.ones((4, 4))):
        picture = jax.random.uniform(jax.random.key(1), (4, 4, 1))
        own = weights * picture[..., 0]
        for sign in (1, -1):
            found = run(faithfulness, linear(weights[..., None]), picture, sign * own, **options)
            assert float(found.correlation) == pytest.approx(sign, abs=1e-5)
            assert float(found.rank_correlation) == pytest.approx(sign, abs=1e-5)


def test_infidelity_is_the_squared_gap_where_everything_goes(float64):
    """INF-1."""
    options = {"perturbation": "pixels", "share": 1.0, "samples": 1, "scale": "none"}

    def error(values, target):
        image = values[None, :, None]
        classifier = Partial(multilayer, values, 8.0)
        own = integrated_gradients(
            KEY, classifier, image, target, baseline=1.0, rule="gauss-legendre", steps=50
        )
        return run(infidelity, classifier, image, own.saliency, target, infill=WHITE, **options)

    rows, targets = jnp.arange(1.0, 13).reshape(4, 3), jnp.array([0, 0, 1, 0])
    found = jax.jit(jax.vmap(error))(rows, targets).error
    np.testing.assert_allclose(found, [0.10686, 0, 0, 0], atol=5e-6)  # published to five digits


def test_infidelity_of_single_values(float64):
    """INF-2, INF-3: all single values, and all pairs."""
    classifier, image = Partial(multilayer, jnp.zeros(3), 1.0), row(1, 2.5, 3.3)
    options = {"perturbation": "ranked", "samples": 3}
    for own, scale, expected, pairs in (
        ([3, 7.5, 9.9], "none", 0, 0),
        ([3, 3, 3], "none", 22.62, 65.94),
        ([3, 3, 3], "best", 8.18, 8.18),
    ):
        own = jnp.asarray(own, float)
        found = run(infidelity, classifier, image, own[None], scale=scale, **options)
        assert float(found.error) == pytest.approx(expected, abs=1e-9)
        two = jnp.array([[0.0, 1, 1], [1, 1, 0], [1, 0, 1]])
        fall = two @ jnp.array([3, 7.5, 9.9])
        assert float(squared_error(two @ own, fall, scale=scale)) == pytest.approx(pairs, abs=1e-9)


def test_correlations():
    """The published ones, of which a peer's are of numbers with ties, and scipy's."""
    half, other = jnp.array([-1.0, 1, 1]), jnp.array([0.0, 0, 2])
    diff, last = jnp.array([0.0, 1, 0, 1]), jnp.array([1.0, 2, 1, 0])
    measures = [jax.jit(measure) for measure in (pearson, spearman)]
    for measure in measures:
        assert float(measure(half, other)) == pytest.approx(0.5)
        assert float(measure(diff, last)) == pytest.approx(0, abs=1e-7)
        assert float(measure(half, 3 * half)) == pytest.approx(1)
        assert float(measure(half, -3 * half)) == pytest.approx(-1)
        assert np.isnan(measure(half, jnp.ones(3)))
        assert np.isnan(measure(half, half.at[0].set(jnp.nan)))
    draw = np.random.default_rng(0)
    one, two = draw.integers(0, 5, (2, 40)).astype(np.float32)
    expected = scipy.stats.spearmanr(one, two)[0]
    assert float(measures[1](jnp.asarray(one), jnp.asarray(two))) == pytest.approx(
        expected, abs=1e-6
    )


def drawn(shape=(5, 8), samples=60, **options):
    saliency = jax.random.normal(jax.random.key(3), shape)
    group, count = groups(KEY, saliency, samples=samples, **options)
    return np.asarray(jax.jit(jax.vmap(group))(jnp.arange(count))), np.asarray(saliency)


def test_groups_of_random_pixels():
    masks, _ = drawn(drop="pixels", share=0.3)
    assert np.all(masks.sum((1, 2)) == 12)
    assert len(np.unique(masks, axis=0)) == 60
    assert np.all(masks.mean(0) > 0.1)
    assert np.all(drawn(drop="pixels", share=1e-6)[0].sum((1, 2)) == 1)


def test_groups_that_are_squares():
    masks, _ = drawn(drop="square", share=0.225, samples=300)
    for mask in masks:
        rows, columns = np.nonzero(mask)
        assert np.ptp(rows) == np.ptp(columns) == 2
        assert mask.sum() == 9
    assert np.all(masks.mean(0) > 0)  # every pixel is in some
    assert len(np.unique(masks, axis=0)) == 3 * 6  # every place is drawn
    assert np.all(drawn(drop="square", share=1.0)[0].sum((1, 2)) == 5 * 6)


def test_groups_by_rank_part_the_pixels():
    for samples, size in ((8, 5), (40, 1), (1000, 1)):
        masks, saliency = drawn(drop="ranked", share=0.1, samples=samples)
        assert len(masks) == min(samples, 40)
        np.testing.assert_array_equal(masks.sum(0), 1)
        assert np.all(masks.sum((1, 2)) == size)
        lowest = [saliency[mask == 1].min() for mask in masks]
        highest = [saliency[mask == 1].max() for mask in masks]
        assert np.all(np.array(lowest[:-1]) > np.array(highest[1:]))


@pytest.mark.parametrize("perturbation", ["square", "noise"])
def test_perfect_beats_random_beats_inverted(perturbation):
    weights = np.random.default_rng(1).normal(size=(8, 8, 3)) ** 3
    picture = jax.random.uniform(jax.random.key(4), (8, 8, 3), minval=0.2)
    noise = perturbation == "noise"
    truth = jnp.einsum("hwc,hwc->hw", weights, jnp.ones_like(picture) if noise else picture)
    truth = 7 * truth.astype(jnp.float32)  # of another unit
    chances = jax.random.normal(jax.random.key(3), (12, 8, 8)) * jnp.std(truth)
    maps = jnp.stack([truth, -truth, *chances])
    classifier = linear(weights)

    def both(own):
        error = partial(infidelity, perturbation=perturbation, infill=BLACK, samples=64)
        scaled = error(KEY, classifier, picture, 0, own)
        plain = squared_error(scaled.attributed / 7, scaled.fall, scale="none")
        return scaled.relative, plain, pearson(scaled.attributed, scaled.fall)

    found = jax.jit(jax.vmap(both))(maps)
    for number, sign in zip(found, (-1, -1, 1), strict=True):
        perfect, inverted, chance = sign * number[0], sign * number[1], sign * number[2:].mean()
        assert perfect > chance > inverted
    relative = found[0]
    assert float(relative[0]) < 1e-8
    # The best factor of the wrong sign is 0: as bad as no map.
    assert float(relative[1]) == pytest.approx(1)


def test_correlation_of_perfect_random_and_inverted_maps(planted):
    picture = jax.random.uniform(jax.random.key(4), (12, 12, 3), minval=0.2)
    truth = jnp.einsum("hwc,hwc->hw", planted.args[0], picture)
    chances = jax.random.normal(jax.random.key(3), (12, 12, 12))

    def both(own):
        return faithfulness(KEY, planted, picture, 0, own, infill=BLACK, samples=64)[:2]

    for number in jax.jit(jax.vmap(both))(jnp.stack([truth, -truth, *chances])):
        assert float(number[0]) == pytest.approx(1, abs=1e-4)
        assert float(number[1]) == pytest.approx(-1, abs=1e-4)
        assert abs(float(number[2:].mean())) < 0.2


@pytest.mark.parametrize("perturbation", ["square", "noise"])
def test_the_numbers_are_those_of_a_slow_loop(perturbation):
    """A classifier that is not linear; noise is one number for all colours of a pixel."""
    image = jax.random.uniform(jax.random.key(1), (5, 6, 3), minval=0.1)
    weights = jax.random.normal(jax.random.key(2), (90, 2))
    classifier = Partial(lambda w, images: jnp.tanh(images.reshape(len(images), -1) @ w), weights)
    own = np.asarray(jax.random.normal(jax.random.key(3), (5, 6)))
    seen: list[np.ndarray] = []

    def watched(images):
        jax.debug.callback(lambda batch: seen.extend(np.array(batch)), images)
        return classifier(images)

    found = infidelity(
        KEY, watched, image, 1, jnp.asarray(own), infill=BLACK, perturbation=perturbation,
        samples=9, chunk=4, share=0.2, radius=0.3,
    )  # fmt: skip
    jax.effects_barrier()
    before = float(classifier(image[None])[0, 1])
    pairs = []
    for picture in seen:
        change = np.asarray(image) - picture
        if perturbation == "noise":
            np.testing.assert_allclose(change, change[..., :1].repeat(3, -1), atol=1e-6)
            said = np.sum(change[..., 0] * own)
        else:
            said = np.sum(np.any(np.abs(change) > 1e-5, axis=-1) * own)
        pairs.append((said, before - float(classifier(picture[None])[0, 1])))
    got = np.stack(found[2:], axis=-1)
    assert len(got) == 9
    gaps = np.abs(got[:, None] - np.array(pairs)).max(-1)
    assert gaps.min(1).max() < 2e-5
    said, fall = got.T
    best = max(said @ fall / (said @ said), 0)
    assert float(found.error) == pytest.approx(np.mean((best * said - fall) ** 2), rel=1e-4)
    assert float(found.relative) == pytest.approx(float(found.error) / np.mean(fall**2), rel=1e-4)


def test_colours_go_together():
    grey = jax.random.uniform(jax.random.key(1), (5, 6, 1))
    weights = jax.random.normal(jax.random.key(2), (5, 6, 1))
    own = jax.random.normal(jax.random.key(3), (5, 6))
    rgb, thirds = jnp.repeat(grey, 3, axis=-1), jnp.repeat(weights / 3, 3, axis=-1)
    one = run(infidelity, linear(weights), grey, own, samples=16)
    three = run(infidelity, linear(thirds), rgb, own, samples=16)
    for got, expected in zip(three, one, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", [faithfulness, infidelity])
def test_a_map_that_says_nothing_has_no_number(metric):
    own = jax.random.normal(jax.random.key(3), (4, 4))
    call = partial(run, metric, linear(RAMP[..., None]), jnp.ones((4, 4, 1)), samples=16)
    for broken in (own.at[0, 0].set(jnp.nan), own.at[1, 1].set(jnp.inf), jnp.zeros((4, 4))):
        assert np.all(np.isnan(call(broken)[:2]))
    flat = call(jnp.full((4, 4), 0.1))
    # All pixels alike is a prediction of the fall, but nothing that could correlate.
    assert np.all(np.isnan(flat[:2])) == (metric is faithfulness)


def test_bad_options_are_named():
    image, own = jnp.ones((4, 4, 1)), jnp.ones((4, 4))
    for metric in (faithfulness, infidelity):
        call = partial(metric, KEY, linear(RAMP[..., None]), image, 0, own, infill=BLACK)
        for share in (0.0, 1.1, -0.2):
            with pytest.raises(ValueError, match=f"share is {share}, expected above 0"):
                call(share=share)
        with pytest.raises(ValueError, match="samples is 0"):
            call(samples=0)
        with pytest.raises(ValueError, match="chunk is 0"):
            call(chunk=0)
        with pytest.raises(ValueError, match="score: there is no 'odds'"):
            call(score="odds")
    with pytest.raises(ValueError, match="drop: there is no 'noise'"):
        faithfulness(KEY, linear(image), image, 0, own, infill=BLACK, drop="noise")
    error = partial(infidelity, KEY, linear(image), image, 0, own, infill=BLACK)
    with pytest.raises(ValueError, match="perturbation: there is no 'pixel'; did you mean pixels"):
        error(perturbation="pixel")
    with pytest.raises(ValueError, match="scale: there is no"):
        error(scale="beta")
    with pytest.raises(ValueError, match="samples is 0"):
        error(perturbation="noise", samples=0)
