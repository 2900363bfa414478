"""Prediction difference analysis, both kinds, and its conditional Gaussian."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PLANTED, linear
from jax.tree_util import Partial

import infillers
from fidojax.methods.pda import log2_odds, pda
from fidojax.methods.pda_one_draw import pda_one_draw
from infillers.patch_gaussian import fit_patch_gaussian, sample_patches

KEY = jax.random.key(0)
fit = jax.jit(fit_patch_gaussian, static_argnames=("window", "ridge"))
cut = jax.jit(sample_patches, static_argnames=("side", "count"))


def curved(weights, images):
    return jnp.tanh(images.reshape(len(images), -1) @ weights) * 3


@pytest.fixture
def classifier():
    """Five classes, of which none is linear, on 6 x 5 pictures of two channels."""
    return Partial(curved, jax.random.normal(jax.random.key(5), (60, 5)) / 2)


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(1), (6, 5, 2))


def probability(classifier, picture, target) -> float:
    logits = np.asarray(classifier(jnp.asarray(picture)[None])[0], np.float64)
    return (np.exp(logits) / np.exp(logits).sum())[target]


def plain_log_odds(p: float) -> float:
    return float(np.log(p) - np.log(1 - p))


@pytest.mark.parametrize("name", ["black", "local"])
def test_as_vdsm_ran_it_each_pixel_is_imputed_once(name, classifier, image):
    infill = {"black": None, "local": infillers.local(3, 0.5)}[name]
    explain = jax.jit(lambda f, x: pda_one_draw(KEY, f, x, 3, infill=infill, chunk=7).saliency)
    saliency = explain(classifier, image)
    make = jax.jit(infill or (lambda key, image, mask: jnp.zeros_like(image)))
    whole = plain_log_odds(probability(classifier, image, 3))
    for y, x in np.ndindex(6, 5):
        mask = jnp.ones((6, 5)).at[y, x].set(0)
        reference = make(KEY, image, mask)
        without = image.at[y, x].set(reference[y, x])
        change = whole - plain_log_odds(probability(classifier, without, 3))
        np.testing.assert_allclose(saliency[y, x], change, atol=2e-5)


def test_as_vdsm_ran_it_finds_the_planted_pixels(planted):
    images = jax.random.uniform(jax.random.key(7), (2, 12, 12, 3), minval=0.6)
    maps = jax.jit(jax.vmap(lambda image: pda_one_draw(KEY, planted, image, 0).saliency))(images)
    # The log-odds of a linear classifier are linear: twice the evidence that the pixel holds.
    expected = np.zeros((2, 12, 12))
    expected[:, *PLANTED] = 2 * 0.05 * images[:, *PLANTED].sum(axis=-1)
    np.testing.assert_allclose(maps, expected, atol=1e-5)


@pytest.mark.usefixtures("float64")
def test_weight_of_evidence_with_laplace_correction_is_the_known_number():
    full, without = (log2_odds(jnp.float64(p), jnp.float64(1 - p), 100, 10) for p in (0.8, 0.5))
    np.testing.assert_allclose(full - without, 1.6920867, atol=5e-8)  # A-PDA


def bits(p: float, instances: float, classes: int) -> float:
    corrected = (p * instances + 1) / (instances + classes)
    return float(np.log2(corrected / (1 - corrected)))


def test_published_equals_the_slow_loop(classifier, image):
    infill, samples, instances = infillers.random(0.1), 3, 50.0
    options = {"window": 2, "samples": samples, "instances": instances, "chunk": 8}
    explain = jax.jit(lambda f, x: pda(KEY, f, x, 3, infill=infill, **options))
    saliency, info = explain(classifier, image)
    whole = bits(probability(classifier, image, 3), instances, 5)
    total, count, number = np.zeros((6, 5)), np.zeros((6, 5)), 1
    for y, x in np.ndindex(5, 4):
        hidden = (slice(y, y + 2), slice(x, x + 2))
        mean = 0.0
        for _ in range(samples):  # probabilities are averaged, not their logarithms
            drawn = infill(jax.random.fold_in(KEY, number), image, jnp.ones((6, 5)))
            without = image.at[hidden].set(drawn[hidden])
            mean += probability(classifier, without, 3) / samples
            number += 1
        total[hidden] += whole - bits(mean, instances, 5)
        count[hidden] += 1
        np.testing.assert_allclose(info.probability[y, x], mean, rtol=1e-5)
        np.testing.assert_allclose(info.evidence[y, x], whole - bits(mean, instances, 5), atol=2e-5)
    np.testing.assert_allclose(saliency, total / count, atol=2e-5)
    np.testing.assert_allclose(info.original, probability(classifier, image, 3), rtol=1e-5)


def test_published_is_finite_where_the_softmax_rounds_to_one():
    sure = Partial(linear, jnp.full((4, 4, 1), 20.0))
    options: Any = {"infill": infillers.mean(0.0), "samples": 1}

    @jax.jit
    def explain(image):
        return [pda(KEY, sure, image, 0, window=window, **options) for window in (2, 4)]

    (saliency, info), (unsure, _) = explain(jnp.ones((4, 4, 1)))
    assert float(info.original) == 1
    assert float(jnp.abs(saliency).max()) < 1e-3  # the odds are capped at N + 1
    np.testing.assert_allclose(unsure, np.log2(1e5 + 1), rtol=1e-5)  # the rest: p = 1/2


@pytest.fixture(scope="module")
def gaussian():
    """Fitted to smooth random patches: 5 x 5, a window of 3, two channels."""
    noise = jax.random.normal(jax.random.key(3), (400, 5, 5, 2))
    rolled = [jnp.roll(noise, shift, axis) for shift in (0, 1) for axis in (1, 2)]
    patches = 0.5 + 0.05 * jnp.stack(rolled).sum(axis=0)
    return patches, fit(patches, window=3, ridge=1e-3)


def test_conditional_moments_are_those_of_the_joint_gaussian(gaussian):
    patches, fitted = gaussian
    assert fitted.fitted_window == 3
    assert fitted.gain.shape == (3, 3, 2, 9, 25)
    index = np.arange(25).reshape(5, 5)
    for row, column, channel in [(1, 1, 0), (0, 0, 1), (2, 0, 0), (0, 2, 1), (1, 2, 0)]:
        values = np.asarray(patches, np.float64)[..., channel].reshape(400, 25)
        joint = np.linalg.inv(np.cov(values.T) + 1e-3 * np.eye(25))
        inner = index[row : row + 3, column : column + 3].ravel()
        outer = np.setdiff1d(index, inner)
        # From the precision matrix: the other way to the same conditional.
        covariance = np.linalg.inv(joint[np.ix_(inner, inner)])
        gain = -covariance @ joint[np.ix_(inner, outer)]
        factor = np.asarray(fitted.factor[row, column, channel], np.float64)
        np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-6)
        found = np.asarray(fitted.gain[row, column, channel])
        np.testing.assert_allclose(found[:, outer], gain, atol=1e-3)
        assert (found[:, inner] == 0).all()
        np.testing.assert_allclose(fitted.mean[channel].ravel(), values.mean(axis=0), atol=1e-5)


def hole(top: int, left: int, side: int, shape: tuple[int, int]):
    return jnp.ones(shape).at[top : top + side, left : left + side].set(0)


@pytest.mark.usefixtures("float64")
def test_planes_are_restored_at_every_place_of_the_window():
    """Of a tilted plane the ring tells all, so that any slip of one pixel would show."""
    y, x = jnp.mgrid[:9, :8] / 20

    def plane(tilt):
        return 0.4 + tilt[0] * y[..., None] + tilt[1] * x[..., None] + jnp.array([0, 0.1])

    tilts = jax.random.uniform(KEY, (50, 2), jnp.float64, -0.5, 0.5)
    planes = jax.vmap(plane)(tilts)
    patches = cut(jax.random.key(1), planes, side=6, count=500)
    fitted = fit(patches, window=2, ridge=1e-9)
    image = plane(jnp.array([0.3, -0.7]))
    draw = jax.jit(lambda key, image, mask: fitted(key, image, mask))
    for top, left in np.ndindex(8, 7):
        mask = hole(top, left, 2, (9, 8))
        torn = jnp.where(mask[..., None] == 1, image, 0.123)
        np.testing.assert_allclose(draw(KEY, torn, mask), image, atol=1e-3)


def test_draws_have_the_conditional_moments_and_see_kept_pixels_only(gaussian):
    _, fitted = gaussian
    image = jax.random.uniform(jax.random.key(4), (8, 7, 2), minval=0.4, maxval=0.6)
    mask = hole(2, 1, 3, (8, 7))
    keys = jax.random.split(KEY, 4000)
    drawn = jax.jit(jax.vmap(fitted, in_axes=(0, None, None)))(keys, image, mask)
    window = np.asarray(drawn)[:, 2:5, 1:4]
    ring = np.asarray(image[1:6, :5].transpose(2, 0, 1) - fitted.mean).reshape(2, 25)
    for channel in (0, 1):
        values = window[..., channel].reshape(-1, 9)
        factor = np.asarray(fitted.factor[1, 1, channel])
        centre = np.asarray(fitted.mean[channel, 1:4, 1:4]).ravel()
        mean = centre + np.asarray(fitted.gain[1, 1, channel]) @ ring[channel]
        sigma = np.sqrt(np.diag(factor @ factor.T))
        np.testing.assert_allclose(values.mean(axis=0), mean, atol=5 * sigma.max() / 4000**0.5)
        np.testing.assert_allclose(
            np.cov(values.T), factor @ factor.T, atol=0.15 * sigma.max() ** 2
        )
    kept = np.asarray(mask)[None, ..., None] == 1
    np.testing.assert_array_equal(np.where(kept, drawn, 0), np.where(kept, image, 0) + 0 * drawn)
    other = jnp.where(mask[..., None] == 1, image, 0.9)
    draw = jax.jit(lambda fitted, image: fitted(KEY, image, mask))
    np.testing.assert_array_equal(draw(fitted, image), draw(fitted, other))
    far = image.at[7, 6].set(0)
    np.testing.assert_array_equal(
        np.asarray(draw(fitted, far))[2:5, 1:4], np.asarray(draw(fitted, image))[2:5, 1:4]
    )
    dark = fitted._replace(mean=fitted.mean - 5)
    assert float(draw(dark, image - 5).max()) == 0  # drawn at -4.5 and clipped


def test_published_with_the_gaussian_finds_the_planted_pixels(planted):
    images = jax.random.uniform(jax.random.key(7), (40, 12, 12, 3), minval=0.6)
    # The data are darker than the picture, so that what is drawn speaks less for the class.
    patches = cut(jax.random.key(2), images - 0.4, side=5, count=500)
    fitted = fit(patches, window=1)

    def explain(key, image, fitted):
        return pda(key, planted, image, 0, infill=fitted, window=1, samples=4).saliency

    keys = jax.random.split(KEY, 2)
    maps = jax.jit(jax.vmap(explain, in_axes=(0, 0, None)))(keys, images[:2], fitted)
    inside = np.zeros((12, 12), bool)
    inside[PLANTED] = True
    assert float(maps[:, inside].min()) > float(maps[:, ~inside].max())
    alone = jax.jit(explain)(keys[1], images[1], fitted)
    np.testing.assert_allclose(alone, maps[1], atol=1e-4)


def test_patches_are_cut_from_everywhere():
    images = jnp.arange(2 * 5 * 4.0).reshape(2, 5, 4, 1)
    patches = np.asarray(cut(KEY, images, side=3, count=400))[..., 0]
    first = patches[:, :1, :1]
    steps = np.arange(3)[:, None] * 4 + np.arange(3)
    np.testing.assert_array_equal(patches, first + steps)
    corners = [20 * n + 4 * y + x for n in range(2) for y in range(3) for x in range(2)]
    assert sorted(set(first.ravel())) == corners


def test_gradients_go_through(classifier, image):
    @jax.jit
    def evidence(weights):
        infill = infillers.mean(0.0)
        return pda(
            KEY, Partial(curved, weights), image, 1, infill=infill, window=3, samples=1
        ).saliency.sum()

    weights = classifier.args[0]
    direction = jax.random.normal(jax.random.key(9), weights.shape)
    numeric = (evidence(weights + 1e-2 * direction) - evidence(weights - 1e-2 * direction)) / 2e-2
    np.testing.assert_allclose(
        (jax.jit(jax.grad(evidence))(weights) * direction).sum(), numeric, rtol=2e-2
    )


def test_bad_options_are_named(gaussian, planted):
    patches, fitted = gaussian
    image = jnp.ones((12, 12, 3))
    black = infillers.mean(0.0)
    wrong = [
        ({"infill": fitted}, "window is 10, expected the infiller's 3"),
        ({"infill": black, "samples": 0}, "samples is 0"),
        ({"infill": black, "window": 13}, "window is 13, expected at most the image's"),
        ({"infill": fitted, "window": 3}, "expected sides of at least 5 and 2 channels"),
    ]
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            pda(KEY, planted, image, 0, **options)
    with pytest.raises(ValueError, match="score: there is no 'loss'"):
        pda_one_draw(KEY, planted, image, 0, score="loss")
    for window in (2, 5):
        with pytest.raises(ValueError, match="patches have side 5"):
            fit_patch_gaussian(patches, window=window)
    with pytest.raises(ValueError, match="patches are 1"):
        fit_patch_gaussian(patches[:1], window=3)
    with pytest.raises(ValueError, match="images are 5 x 5, expected at least a patch of 6"):
        sample_patches(KEY, patches, side=6)
