"""Nonlinear and linear saliency maps: a slow loop, planted pixels, figures, command line."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest
from conftest import PLANTED, linear
from jax.tree_util import Partial

from fidojax.cli import main
from fidojax.engine import compare_maps
from fidojax.methods.nonlinear.nonlinear import (
    compare_classes,
    linear_saliency,
    linear_saliency_loop,
    nonlinear_saliency,
    nonlinear_saliency_loop,
)
from fidojax.methods.nonlinear.trajectory import LEVELS, masked, masked_map
from fidojax.viz.nonlinear import linear_and_nonlinear, removal, snapshots, trajectories

KEY = jax.random.key(0)
BOTH = {"nonlinear": nonlinear_saliency, "linear": linear_saliency}


def curved(weights, images):
    """Three classes whose gradients change from place to place."""
    flat = images.reshape(images.shape[0], -1)
    return jnp.sin(3 * flat) @ weights


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(7), (12, 12, 3), minval=0.6, maxval=1.0)


def small(dtype: Any = np.float64):
    draw = np.random.default_rng(3)
    return draw.random((5, 6, 3)).astype(dtype), draw.normal(size=(90, 3)).astype(dtype)


def explain(method, classifier, image, target=0, **options):
    return jax.jit(lambda f, x: method(KEY, f, x, target, **options))(classifier, image)


def slow_blur(image, sigma):
    """Separable Gaussian, renormalised at the border."""
    for axis in (0, 1):
        at = np.arange(image.shape[axis])
        kernel = np.exp(-((at[:, None] - at) ** 2) / (2 * sigma**2))
        kernel /= kernel.sum(axis=1, keepdims=True)
        image = np.moveaxis(np.tensordot(kernel, image, (1, axis)), 0, axis)
    return image


def slow_trajectory(image, weights, target, linear, steps, repeats, top, h, sigma, normalise):
    """Images, probabilities and sharp pixels, with the gradient of the softmax by hand."""

    def probability_and_gradient(x):
        logits = np.sin(3 * x.reshape(-1)) @ weights
        p = np.exp(logits - logits.max())
        p /= p.sum()
        jacobian = p[target] * (weights[:, target] - weights @ p) * 3 * np.cos(3 * x.reshape(-1))
        return p[target], jacobian.reshape(x.shape)

    first = probability_and_gradient(image)[1]
    images, sharps, probabilities = [image], [np.ones(image.shape[:2], bool)], []
    for step in range(steps):
        x = images[-1]
        p, s = probability_and_gradient(x)
        s = first if linear else s
        norm = np.sqrt((s**2).sum(axis=2))
        level = top * (step // repeats + 1) / (steps // repeats)
        sharp = np.ones(norm.size, bool)
        sharp[np.argsort(norm.ravel(), kind="stable")[: round(level * norm.size)]] = False
        sharp = sharp.reshape(norm.shape)
        scale = norm.max() if normalise == "max" else 1.0
        pushed = np.clip(x + h * s / scale, 0, 1)
        images.append(np.where(sharp[..., None], pushed, slow_blur(x, sigma)))
        sharps.append(sharp)
        probabilities.append(p)
    probabilities.append(probability_and_gradient(images[-1])[0])
    return np.array(images), np.array(probabilities), np.array(sharps)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("repeats", "normalise", "h"), [(1, "max", 0.05), (2, "none", 0.5)])
def test_equals_a_slow_loop(kind, repeats, normalise, h):
    image, weights = small()
    setting = {"steps": 8, "repeats": repeats, "top": 0.9, "sigma": 0.7, "normalise": normalise}
    every = tuple(0.9 * i / (8 // repeats) for i in range(8 // repeats + 1))
    saliency, info = explain(
        BOTH[kind], Partial(curved, jnp.asarray(weights)), jnp.asarray(image), 1,
        step_size=h, levels=every, **setting,
    )  # fmt: skip
    images, probabilities, sharp = slow_trajectory(
        image, weights, 1, kind == "linear", 8, repeats, 0.9, h, 0.7, normalise
    )
    np.testing.assert_allclose(info.probabilities, probabilities, rtol=1e-6)
    np.testing.assert_array_equal(info.sharp, sharp)
    np.testing.assert_allclose(info.images, images[::repeats], rtol=1e-6)
    np.testing.assert_allclose(saliency, sharp[1:].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(info.level, [0, *np.repeat(every[1:], repeats)], rtol=1e-12)
    best = probabilities.argmax()
    assert info.best == best
    np.testing.assert_allclose(info.mixture, images[best], rtol=1e-6)
    np.testing.assert_array_equal(info.keep, sharp[best])
    np.testing.assert_allclose(info.probability, probabilities[best], rtol=1e-6)
    np.testing.assert_allclose(info.original, probabilities[0], rtol=1e-6)
    np.testing.assert_allclose(-info.objective, probabilities[:-1], rtol=1e-6)
    first = np.flatnonzero(probabilities >= 0.95 * probabilities[best])[0]
    np.testing.assert_allclose(info.threshold, info.level[first])
    removed = np.where(sharp[-1][..., None], slow_blur(image, 0.7 * np.sqrt(8)), image)
    np.testing.assert_allclose(info.removed, removed, rtol=1e-6)
    logits = np.sin(3 * removed.reshape(-1)) @ weights
    expected = np.exp(logits[1]) / np.exp(logits).sum()
    np.testing.assert_allclose(info.probability_removed, expected, rtol=1e-6)


def test_float32_equals_the_slow_loop_too():
    image, weights = small(np.float32)
    found = explain(
        nonlinear_saliency, Partial(curved, weights), jnp.asarray(image), 1,
        steps=4, top=0.8, step_size=0.05,
    )  # fmt: skip
    _, probabilities, _ = slow_trajectory(image, weights, 1, False, 4, 1, 0.8, 0.05, 1.0, "max")
    np.testing.assert_allclose(found.info.probabilities, probabilities, rtol=1e-4)
    assert found.saliency.dtype == jnp.float32


@pytest.mark.parametrize("method", BOTH.values())
def test_finds_the_planted_pixels(method, planted, image):
    top = 1 - 20 / 144  # all but the patch
    saliency, info = explain(method, planted, image, steps=31, top=top)
    inside = np.zeros((12, 12), bool)
    inside[PLANTED] = True
    np.testing.assert_array_equal(np.asarray(saliency)[inside], 1)
    assert float(np.asarray(saliency)[~inside].max()) < 1
    np.testing.assert_array_equal(info.sharp[-1], inside)
    assert float(info.probability) > float(info.original)
    assert float(info.probability_removed) < 1.001 * float(info.original)


def test_without_curvature_both_maps_agree(planted, image):
    one, two = (explain(m, planted, image, steps=20) for m in BOTH.values())
    np.testing.assert_array_equal(one.saliency, two.saliency)
    np.testing.assert_allclose(one.info.probabilities, two.info.probabilities, rtol=1e-5)


def test_with_curvature_they_differ_and_nonlinear_goes_further():
    image, weights = small(np.float32)
    classifier = Partial(curved, weights)
    one, two = (
        explain(m, classifier, jnp.asarray(image), 2, steps=40, step_size=0.05)
        for m in BOTH.values()
    )
    assert bool(jnp.any(one.info.sharp != two.info.sharp))
    assert float(one.info.probability) > float(two.info.probability)


def test_shares_are_exact_and_ties_go_in_row_major_order(image):
    flat = Partial(linear, jnp.zeros((12, 12, 3)))
    saliency, info = explain(linear_saliency, flat, image, steps=10, top=0.5)
    blurred = 144 - np.asarray(info.sharp).sum(axis=(1, 2))
    np.testing.assert_array_equal(blurred, np.round(np.asarray(info.level) * 144))
    order = np.asarray(saliency).ravel()
    assert bool(np.all(np.diff(order) >= 0))
    assert bool(jnp.all(jnp.isfinite(info.images)))  # no gradient, nothing to divide by


def test_a_saturated_probability_keeps_its_direction(image):
    """p rounds to 1 in float32; the gradient of p would be rounding noise, or nothing."""
    weights = jnp.zeros((12, 12, 3)).at[PLANTED].set(5.0)
    _, info = explain(nonlinear_saliency, Partial(linear, weights), image, steps=9, top=0.8)
    assert float(info.original) == 1
    assert bool(jnp.all(info.sharp[-1][PLANTED]))


def test_images_are_those_of_the_levels(planted, image):
    _, info = explain(nonlinear_saliency, planted, image)
    assert info.images.shape == (len(LEVELS), 12, 12, 3)
    assert info.probabilities.shape == (96,)
    np.testing.assert_array_equal(info.images[0], image)
    shown = jax.nn.softmax(planted(info.images))[:, 0]
    points = [round(100 * level) for level in LEVELS]
    np.testing.assert_allclose(shown, info.probabilities[jnp.array(points)], rtol=1e-4)


def test_masked_maps_cover_the_pixels_of_a_level(planted, image):
    _, info = explain(linear_saliency, planted, image, steps=19)
    covered = masked_map(image, info, 0.5)
    sharp = np.asarray(info.sharp[10])
    np.testing.assert_array_equal(np.asarray(covered)[sharp], np.asarray(image)[sharp])
    assert bool(np.all(np.asarray(covered)[~sharp] == 1))
    np.testing.assert_array_equal(masked_map(image, info, 0.0), image)
    assert bool(jnp.all(masked(image, jnp.zeros((12, 12), bool), 0.5) == 0.5))


def test_any_two_classes_in_one_call(planted, image):
    pair = jax.jit(lambda f, x: compare_classes(KEY, f, x, [1, 0], steps=6))(planted, image)
    for kind, method in BOTH.items():
        together = getattr(pair, kind)
        alone = explain(method, planted, image, 0, steps=6)
        np.testing.assert_allclose(together.saliency[1], alone.saliency, atol=1e-6)
        found = together.info.probabilities
        np.testing.assert_allclose(found[1], alone.info.probabilities, rtol=1e-4)
        np.testing.assert_allclose(found[0, 0], 1 - found[1, 0], rtol=1e-4)
    batch = compare_maps(
        planted, np.asarray(image), [1, 0], options={"steps": 6}, seed=0, name="one"
    )
    for ours, theirs in zip(batch, pair, strict=True):
        np.testing.assert_allclose(ours.saliency, theirs.saliency, atol=1e-6)


@pytest.mark.parametrize("kind", BOTH)
def test_vmap_equals_a_loop_and_jit_equals_eager(kind, image):
    images = jnp.stack([image, image[::-1]])
    weights = jax.random.normal(KEY, (2, 432, 3))
    targets = jnp.array([0, 2])

    def one(weights, image, target):
        return BOTH[kind](KEY, Partial(curved, weights), image, target, steps=4).info.probabilities

    batch = jax.jit(jax.vmap(one))(weights, images, targets)
    single = jax.jit(one)
    for i in range(2):
        alone = single(weights[i], images[i], targets[i])
        np.testing.assert_allclose(batch[i], alone, rtol=2e-4)
    np.testing.assert_allclose(one(weights[1], images[1], targets[1]), alone, rtol=2e-4)


def test_numbers_are_traceable_and_a_gradient_passes(planted, image):
    def reached(h, sigma):
        found = nonlinear_saliency(KEY, planted, image, 0, steps=3, step_size=h, sigma=sigma)
        return found.info.probabilities[-1]

    best = jax.jit(jax.vmap(reached))(jnp.array([0.0, 0.01, 0.1]), jnp.full(3, 0.5))
    assert bool(jnp.all(jnp.diff(best) > 0))
    assert float(jax.jit(jax.grad(reached))(0.01, 0.5)) > 0


def test_passes_of_the_classifier(image):
    sizes = []

    def counted(images):
        sizes.append(images.shape[0])
        return linear(jnp.ones((12, 12, 3)), images)

    for loop in (nonlinear_saliency_loop(steps=2), linear_saliency_loop(steps=2)):
        state = jax.eval_shape(lambda: loop.init(KEY, counted, image, 0))  # noqa: B023
        sizes.clear()
        jax.eval_shape(lambda s: loop.step(counted, image, 0, s), state)  # noqa: B023
        assert sizes == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalise": "l2"}, "normalise: there is no 'l2'; it is one of max, none"),
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"repeats": 0}, "repeats is 0"),
        ({"steps": 5, "repeats": 2}, "steps is 5, expected a multiple of repeats, 2"),
    ],
)
@pytest.mark.parametrize("method", BOTH.values())
def test_bad_options_are_named(method, options, message, planted, image):
    with pytest.raises(ValueError, match=message):
        method(KEY, planted, image, 0, **options)


@pytest.mark.parametrize("channels", [1, 3])
def test_figures(channels):
    weights = np.random.default_rng(0).normal(size=(64 * channels, 3)).astype(np.float32)
    picture = np.random.default_rng(1).random((8, 8, channels), np.float32)
    pair = jax.jit(lambda f, x: compare_classes(KEY, f, x, [0, 2], steps=19))(
        Partial(curved, weights), picture
    )
    names = ["a $cat", "dog"]

    shown = snapshots(picture, pair.nonlinear, names)
    assert len(shown.axes) == 4 * len(LEVELS)
    drawn = [np.asarray(axis.images[0].get_array()) for axis in shown.axes]
    np.testing.assert_allclose(drawn[5], np.squeeze(pair.nonlinear.info.images[0, 5]))
    covered = masked_map(jnp.asarray(picture), jax.tree.map(lambda a: a[1], pair.nonlinear.info))
    np.testing.assert_allclose(drawn[-1], np.squeeze(covered))

    lines = trajectories(pair, names).axes[0].lines
    np.testing.assert_allclose(np.asarray(lines[0].get_ydata()), pair.linear.info.probabilities[0])
    np.testing.assert_allclose(
        np.asarray(lines[1].get_ydata()), pair.nonlinear.info.probabilities[0]
    )
    np.testing.assert_allclose(np.asarray(lines[1].get_xdata()), 100 * pair.nonlinear.info.level[0])

    rows = linear_and_nonlinear(picture, pair, names).axes
    assert [axis.get_title() for axis in rows[:3]] == [
        "image", "linear, 95 % covered", "nonlinear, 95 % covered",
    ]  # fmt: skip
    np.testing.assert_allclose(np.asarray(rows[5].images[0].get_array()), np.squeeze(covered))

    patches: Any = removal(pair, names).axes[2].patches
    bars = [bar.get_width() for bar in patches]
    info = pair.nonlinear.info
    expected = [
        info.original[0],
        info.probability_removed[0],
        pair.linear.info.probability_removed[0],
    ]
    np.testing.assert_allclose(bars, expected, rtol=1e-6)


def test_the_command_line_draws_all_four_figures(tmp_path, capsys):
    command = ["explain", "skimage:chelsea", "--classifier", "tiny_imagenet40", "--steps", "3"]
    command += ["--method", "nonlinear_saliency"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "3 classifier evaluations each" in capsys.readouterr().out
    (path,) = (tmp_path / "records").glob("*.json")
    record = json.loads(path.read_text())
    drawn = ("figure", "snapshots", "trajectory", "linear", "removal")
    assert set(record["files"]) == {*drawn, "small"}
    page = (tmp_path / "index.html").read_text()
    for kind in drawn:
        assert matplotlib.image.imread(tmp_path / record["files"][kind]).std() > 0.05
        assert record["files"][kind] in page
    assert record["probability"]["mixture"] >= record["probability"]["image"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "already explained" in capsys.readouterr().out
