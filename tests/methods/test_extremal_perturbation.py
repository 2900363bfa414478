"""Extremal Perturbation: numbers of the authors' code, slow loops, planted pixels.

The recorded numbers are what the authors' library (TorchRay 1.0.0.2, float32) returned for these
inputs, its border and fade colour being 0.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import PLANTED, linear
from jax.tree_util import Partial

from fidojax.core.optimisers import sgd
from fidojax.methods.extremal_perturbation.extremal_perturbation import (
    extremal_perturbation,
    extremal_perturbation_loop,
    reward,
)
from fidojax.methods.extremal_perturbation.perturbation import blur_pyramid, perturb
from fidojax.methods.extremal_perturbation.smooth_mask import area_loss, smooth_mask
from infillers import mean

KEY = jax.random.key(0)


def explain(classifier, image, target=0, **options):
    """The method, compiled as a whole; options that are data stay outside."""
    return jax.jit(lambda f, x: extremal_perturbation(KEY, f, x, target, **options))(
        classifier, image
    )


PLACES = ([0, 7, 19], [0, 13, 25])
INSIDE = np.zeros((12, 12), bool)
INSIDE[PLANTED] = True
SMALL = {
    "stride": 1,
    "sigma": 1,
    "area_weight": 10.0,
    "learning_rate": 0.5,
    "steps": 40,
    "infill": mean(0.0),
}


def recorded_inputs():
    draw = np.random.default_rng(0)
    image, weights = draw.random((20, 26, 3)), draw.normal(size=(3, 20, 26, 3)) / 10
    return image, weights, draw.random((7, 9)), draw.random((20, 26))


def three_classes(weights, images):
    return jnp.einsum("nhwc,khwc->nk", images, weights)


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(7), (12, 12, 3), minval=0.6, maxval=1.0)


def slow_smooth_mask(grid, shape, stride, sigma, coldness=20.0):
    """The smooth maximum, pixel by pixel, over nodes in a window around the pixel."""
    border = -(-sigma // stride)
    rows, columns = ((n + 2 * border - 1) * stride + 1 for n in grid.shape)
    whole = np.zeros((rows, columns))
    for y in range(rows):
        for x in range(columns):
            values = []
            for i in range(y // stride - border - 1, y // stride + border + 2):
                for j in range(x // stride - border - 1, x // stride + border + 2):
                    node = (i - border, j - border)
                    there = 0 <= node[0] < grid.shape[0] and 0 <= node[1] < grid.shape[1]
                    z = np.hypot(y - stride * i, x - stride * j) / sigma
                    k = np.exp(-2 * max(z - 0.5, 0) ** 2)
                    values.append(k * grid[node] if there else 0.0)
            weights = np.exp(coldness * np.array(values))
            whole[y, x] = np.sum(values * weights) / weights.sum()
    first = border * stride
    return whole[first : first + shape[0], first : first + shape[1]], whole


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("shape", "stride", "sigma"), [((6, 9), 1, 2), ((8, 7), 3, 5)])
def test_smooth_mask_equals_a_slow_loop(shape, stride, sigma):
    grid = np.random.default_rng(1).random([-(-n // stride) for n in shape])
    mask, whole = smooth_mask(jnp.asarray(grid), shape, stride, sigma)
    slow, slow_whole = slow_smooth_mask(grid, shape, stride, sigma)
    np.testing.assert_allclose(mask, slow, rtol=1e-10)
    np.testing.assert_allclose(whole, slow_whole, rtol=1e-10)


def test_smooth_mask_equals_the_authors():
    _, _, grid, _ = recorded_inputs()
    mask, whole = smooth_mask(jnp.asarray(grid, jnp.float32), (20, 26), 3, 9)
    np.testing.assert_allclose(mask[PLACES], [0.8595517, 0.895581, 0.8692387], rtol=1e-5)
    assert whole.shape == (37, 43)
    np.testing.assert_allclose(whole.sum(), 1093.586669921875, rtol=1e-5)


def test_the_default_geometry_is_the_authors():
    mask, whole = smooth_mask(jnp.ones((32, 32)), (224, 224), 7, 21)
    assert (mask.shape, whole.shape) == ((224, 224), (260, 260))
    assert float(mask.max()) < 1


@pytest.mark.parametrize(
    ("kind", "values", "total"),
    [
        ("blur", [0.2215026, 0.4875949, 0.159018], 657.02795),
        ("fade", [0.4541967, 0.3845456, 0.0203349], 382.84015),
    ],
)
def test_pyramid_equals_the_authors(kind, values, total):
    image, _, _, mask = (jnp.asarray(array, jnp.float32) for array in recorded_inputs())
    shown = perturb(blur_pyramid(image, kind, 8, 5.0, jnp.zeros(())), mask)
    np.testing.assert_allclose(shown[PLACES][:, 0], values, rtol=1e-5)
    np.testing.assert_allclose(shown.sum(), total, rtol=1e-5)


def test_pyramid_ends_and_its_gradient():
    image = jax.random.uniform(KEY, (5, 6, 3))
    levels = blur_pyramid(image, "fade", 3, 1.0, jnp.float32(0.25))
    np.testing.assert_allclose(levels, [image * 0 + 0.25, (image + 0.25) / 2, image], atol=1e-6)
    for value in (0.0, 0.25, 0.5, 1.0):  # also where levels meet, and at both bounds
        mask = jnp.full((5, 6), value)
        expected = value * image + (1 - value) * 0.25
        np.testing.assert_allclose(perturb(levels, mask), expected, atol=1e-6)
        slope = jax.grad(lambda m: perturb(levels, m).sum())(mask)
        np.testing.assert_allclose(slope, (image - 0.25).sum(axis=2), atol=1e-5)
    constant = jnp.full((5, 6, 1), 0.25)
    np.testing.assert_allclose(
        blur_pyramid(constant, "blur", 4, 3.0, jnp.float32(0.25)), 0.25, atol=1e-6
    )


@pytest.mark.usefixtures("float64")
def test_area_loss_equals_a_sorted_reference():
    mask = np.random.default_rng(2).random((7, 9))
    for area in (0.1, 0.37, 0.9):
        values = sorted(mask.ravel())
        template = [0.0] * int(63 * (1 - area)) + [1.0] * (63 - int(63 * (1 - area)))
        slow = sum((v - r) ** 2 for v, r in zip(values, template, strict=True)) / 63
        np.testing.assert_allclose(area_loss(jnp.asarray(mask), area), slow, rtol=1e-12)
        rank = mask.ravel().argsort().argsort().reshape(mask.shape)
        slope = 2 * (mask - np.array(template)[rank]) / 63
        gradient = jax.grad(lambda m: area_loss(m, area))(jnp.asarray(mask))  # noqa: B023
        np.testing.assert_allclose(gradient, slope, atol=1e-14)


def test_area_counts_whole_pixels_in_float32():
    """67600 * (1 - 0.1) is 60840, whatever float32 makes of it; a perfect mask costs nothing."""
    mask = (jnp.arange(260 * 260) >= 60840).astype(jnp.float32).reshape(260, 260)
    assert float(area_loss(mask, 0.1)) == 0
    assert float(area_loss(mask, jnp.float32(0.1))) == 0


def test_ties_count_the_later_pixel_as_the_larger():
    slope = jax.grad(lambda m: area_loss(m, 0.5))(jnp.full((1, 4), 0.5))
    np.testing.assert_allclose(slope, [[0.25, 0.25, -0.25, -0.25]])


@pytest.mark.usefixtures("float64")
def test_sgd_does_not_damp_the_first_step():
    """CASES A-SGD."""
    descent = sgd(0.01, 0.9, 0.9)
    params = jnp.zeros(())
    state = descent.init(params)
    seen = []
    for gradient in (1.0, 2.0, 3.0):
        updates, state = descent.update(jnp.asarray(gradient), state)
        params = optax.apply_updates(params, updates)
        seen.append(float(jnp.asarray(params)))
    np.testing.assert_allclose(seen, [-0.01, -0.021, -0.0339], rtol=1e-12)


@pytest.mark.parametrize(
    ("variant", "contrast", "values", "total", "energies"),
    [
        ("preserve", None, [0.0889754, 0.4131069, 0.0196341], 194.15663, [-209.86148, -44.53916]),
        ("delete", "max", [0.0688009, 0.8461513, 0.0273904], 254.7192, [-213.55717, -47.649773]),
        ("dual", None, [0.0930637, 0.4173668, 0.0210306], 196.10674, [-210.36888, -45.61144]),
    ],
)
def test_twenty_steps_equal_the_authors(variant, contrast, values, total, energies):
    image, weights, _, _ = recorded_inputs()
    options = {"steps": 20, "stride": 3, "sigma": 9, "max_blur": 20, "color": 0.0}
    classifier = Partial(three_classes, jnp.asarray(weights, jnp.float32))
    picture = jnp.asarray(image, jnp.float32)
    options |= {"variant": variant, "contrast": contrast}
    found = explain(classifier, picture, 1, areas=0.1, **options)
    np.testing.assert_allclose(found.saliency[PLACES], values, atol=2e-5)
    np.testing.assert_allclose(found.saliency.sum(), total, rtol=1e-4)
    np.testing.assert_allclose(-found.info.objective[jnp.array([0, 10])], energies, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"variant": "delete"},
        {"variant": "dual"},
        {"contrast": 1},
        {"contrast": "max"},
        {"score": "log_odds"},
        {"infill": None, "perturbation": "fade", "color": 0.0},
    ],
)
def test_finds_the_planted_pixels(options, planted, image):
    saliency, info = explain(planted, image, areas=0.2, **(SMALL | options))
    found = np.asarray(saliency)
    assert found[INSIDE].mean() > 0.85
    assert found[~INSIDE].mean() < 0.25
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    deletes = options.get("variant") == "delete"
    np.testing.assert_allclose(info.keep, 1 - found if deletes else found, atol=1e-6)
    assert (float(info.probability) < 0.9 * float(info.original)) == deletes
    np.testing.assert_allclose(info.probabilities[0], info.probability, rtol=1e-5)


def test_blur_alone_finds_a_textured_patch():
    stripes = jnp.where(jnp.arange(12) % 2, 0.05, -0.05)[None, :, None]
    weights = jnp.zeros((12, 12, 3)).at[PLANTED].set(10 * stripes[:, 3:8])
    picture = jnp.broadcast_to(0.5 + 8 * stripes, (12, 12, 3))
    options = SMALL | {"infill": None, "max_blur": 3, "jitter": False}
    saliency, _ = explain(Partial(linear, weights), picture, areas=0.2, **options)
    assert float(saliency[PLANTED].mean()) > 0.8 > 3 * float(saliency.mean())


@pytest.mark.parametrize("area", [0.1, 0.3])
def test_the_mask_reaches_its_area(area, planted, image):
    options = SMALL | {"area_weight": 300.0, "learning_rate": 0.05, "steps": 150}
    loop = extremal_perturbation_loop(areas=area, **options)
    state = loop.init(KEY, planted, image, 0)
    state, _ = jax.lax.scan(
        lambda state, _: loop.step(planted, image, 0, state), state, length=loop.steps
    )
    _, whole = smooth_mask(state.params[0], (12, 12), 1, 1)
    assert abs(float(whole.mean()) - area) < 0.03
    assert float(area_loss(whole, area)) < 0.2 * float(area_loss(jnp.ones((14, 14)), area))


def test_several_areas_are_those_of_each_alone(planted, image):
    areas = (0.1, 0.4)
    saliency, info = explain(planted, image, areas=areas, **SMALL)
    assert info.masks.shape == (2, 12, 12)
    assert info.probabilities.shape == (2,)
    for mask, area in zip(info.masks, areas, strict=True):
        alone = explain(planted, image, areas=area, **SMALL)
        np.testing.assert_allclose(mask, alone.saliency, atol=1e-4)
    np.testing.assert_allclose(saliency, info.masks.mean(axis=0), atol=1e-6)
    assert bool(jnp.all(jnp.diff(info.masks.sum(axis=(1, 2))) > 0))
    np.testing.assert_allclose(info.areas, areas)


def test_evaluations_are_one_batch_of_areas(image):
    sizes = []

    def counted(images):
        sizes.append(images.shape[0])
        return linear(jnp.ones((12, 12, 3)), images)

    for variant, one in (("preserve", 1), ("dual", 2)):
        options = SMALL | {"variant": variant, "steps": 1}
        loop = extremal_perturbation_loop(areas=(0.1, 0.2, 0.3), **options)
        assert loop.evaluations == 3 * one
        sizes.clear()
        jax.eval_shape(lambda: loop.step(counted, image, 0, loop.init(KEY, counted, image, 0)))  # noqa: B023
        assert sizes == [3 * one]


def test_jitter_flips_every_second_step(planted, image):
    """Step 0 sees the picture from the other side, step 1 does not."""
    loop = extremal_perturbation_loop(**SMALL)
    straight = extremal_perturbation_loop(jitter=False, **SMALL)
    jitter_step, straight_step = jax.jit(loop.step), jax.jit(straight.step)
    mirrored = Partial(linear, planted.args[0][:, ::-1])
    state = loop.init(KEY, planted, image, 0)
    for step in (0, 1):
        state = state._replace(step=jnp.asarray(step))
        grids, _ = jitter_step(planted, image, 0, state)
        expected, _ = straight_step(mirrored if step == 0 else planted, image, 0, state)
        np.testing.assert_allclose(grids.params, expected.params, atol=1e-6)


@pytest.mark.usefixtures("float64")
def test_one_step_follows_the_gradient_of_the_energy(image):
    weights = jax.random.normal(jax.random.key(1), (12, 12, 3), jnp.float64)
    picture = image.astype(jnp.float64)
    loop = extremal_perturbation_loop(areas=0.3, jitter=False, infill=mean(0.0), stride=4, sigma=5)
    start = loop.init(KEY, Partial(linear, weights), picture, 0)
    start = start._replace(params=jax.random.uniform(KEY, (1, 3, 3), jnp.float64, 0.3, 0.7))

    def energy(grid):
        mask, whole = slow_smooth_mask(grid, (12, 12), 4, 5)
        zeros = int(whole.size * 0.7)
        template = np.arange(whole.size) >= zeros
        evidence = float(np.sum(mask[..., None] * picture * weights))
        return evidence - 300 * np.mean((np.sort(whole.ravel()) - template) ** 2)

    moved, record = jax.jit(loop.step)(Partial(linear, weights), picture, 0, start)
    grid = np.asarray(start.params[0])
    np.testing.assert_allclose(-record.objective, energy(grid), rtol=1e-10)
    for place in ((0, 0), (2, 1)):
        nudge = np.zeros((3, 3))
        nudge[place] = 1e-6
        slope = (energy(grid + nudge) - energy(grid - nudge)) / 2e-6
        expected = np.clip(grid[place] + 0.01 * slope, 0, 1)
        np.testing.assert_allclose(moved.params[0][place], expected, rtol=1e-5)


def test_the_area_term_grows_from_step_to_step(planted, image):
    loop = extremal_perturbation_loop(jitter=False, area_growth=2.0, **SMALL)
    state = loop.init(KEY, planted, image, 0)
    costs = []
    advance = jax.jit(loop.step)
    for step in range(3):
        _, record = advance(planted, image, 0, state._replace(step=jnp.asarray(step)))
        costs.append(float(record.objective + record.score))
    np.testing.assert_allclose(costs, [costs[0], 2 * costs[0], 4 * costs[0]], rtol=1e-5)


def test_vmap_equals_a_loop_over_images_keys_targets_and_weights(planted, image):
    images = jnp.stack([image, image[::-1], image * 0.8])
    keys = jax.random.split(KEY, 3)
    targets = jnp.array([0, 1, 0])
    weights = planted.args[0] * jnp.array([1.0, -1.0, 2.0])[:, None, None, None]

    def one(key, weights, image, target):
        options = SMALL | {"infill": None, "steps": 15}
        return extremal_perturbation(key, Partial(linear, weights), image, target, **options)

    batch = jax.jit(jax.vmap(one))(keys, weights, images, targets).saliency
    single = jax.jit(one)
    for i in range(3):
        alone = single(keys[i], weights[i], images[i], targets[i]).saliency
        np.testing.assert_allclose(batch[i], alone, atol=2e-4)


def test_numbers_are_traceable(planted, image):
    def area(areas, weight):
        options = SMALL | {"area_weight": weight, "steps": 10}
        return extremal_perturbation(KEY, planted, image, 0, areas=areas, **options).saliency.sum()

    sums = jax.jit(jax.vmap(area))(jnp.array([0.1, 0.3, 0.6]), jnp.full(3, 30.0))
    assert bool(jnp.all(jnp.diff(sums) > 0))


def test_smooth_blurs_the_map_only(planted, image):
    options = SMALL | {"steps": 10}
    sharp = explain(planted, image, **options)
    soft = explain(planted, image, smooth=0.09, **options)
    np.testing.assert_array_equal(sharp.info.masks, soft.info.masks)
    assert float(soft.saliency.std()) < float(sharp.saliency.std())


def test_reward_is_the_logit_less_the_contrast():
    logits = jnp.array([[1.0, 4.0, 2.0], [3.0, 0.0, 5.0]])
    np.testing.assert_array_equal(reward(logits, 0), [1, 3])
    np.testing.assert_array_equal(reward(logits, 0, contrast=2), [-1, -2])
    np.testing.assert_array_equal(reward(logits, 0, contrast=jnp.array(1)), [-3, 3])
    np.testing.assert_array_equal(reward(logits, 0, contrast="max"), [-3, -2])
    np.testing.assert_array_equal(reward(logits, 1, contrast="max"), [2, -5])


def test_jit_equals_eager(planted, image):
    options: dict[str, Any] = SMALL | {"steps": 2}
    eager = extremal_perturbation(KEY, planted, image, 0, **options)
    compiled = explain(planted, image, **options)
    np.testing.assert_allclose(compiled.saliency, eager.saliency, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "keep"}, "variant: there is no 'keep'"),
        ({"perturbation": "noise"}, "perturbation: there is no 'noise'"),
        ({"score": "loss"}, "score: there is no 'loss'"),
        ({"contrast": "best"}, "contrast: there is no 'best'"),
        ({"steps": 0}, "steps is 0"),
        ({"stride": 0}, "stride is 0"),
        ({"levels": 1}, "levels is 1, expected at least 2"),
        ({"areas": (0.1, 1.5)}, "areas has 1.5, expected shares between 0 and 1"),
    ],
)
def test_bad_options_are_named(options, message, planted, image):
    with pytest.raises(ValueError, match=message):
        explain(planted, image, **(SMALL | options))
