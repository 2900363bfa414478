"""FIDO under a constraint: planted regions are found, and the area is what the controller says."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import beside_zero
from jax.tree_util import Partial

import fidojax
from fidojax.core import references
from fidojax.methods.fido.area import LARGEST, SMALLEST, at_area, multiplier, next_area
from fidojax.methods.fido.draws import draw_noise, fill_numbers, relaxed_masks
from fidojax.methods.fido.fido import fido_loop
from infillers import mean

SIDE = 16
KEY = jax.random.key(0)
IMAGE = jnp.ones((SIDE, SIDE, 1))
OPTIONS: dict[str, Any] = {
    "infill": (mean(0.0), mean(0.3)),
    "hold": 0.9,
    "size": SIDE,
    "steps": 60,
    "samples": 4,
    "antithetic": True,
    "learning_rate": 0.5,
    "scale": "map",
    "noise": "map",
    "tv": 0.0,
    "final_temperature": 0.1,
}


def block(top, left, bottom, right):
    return jnp.zeros((SIDE, SIDE)).at[top:bottom, left:right].set(1)


def brightness(needed, images):
    """The class is there where four fifths of the needed pixels are bright."""
    return beside_zero(30 * (jnp.einsum("nhwc,hw->n", images, needed) / needed.sum() - 0.8))


def either(first, second, images):
    """The class is there where one of two parts is bright."""
    parts = [jnp.einsum("nhwc,hw->n", images, part) / part.sum() for part in (first, second)]
    return beside_zero(30 * (jnp.maximum(*parts) - 0.8))


LEFT, RIGHT = block(4, 2, 10, 7), block(8, 10, 13, 15)
ONE, TWO = Partial(brightness, LEFT), Partial(either, LEFT, RIGHT)


@partial(jax.jit, static_argnames="names")
def _explain(names, classifier, options):
    return fidojax.fido(KEY, classifier, IMAGE, 0, **dict(names), **options)


def explain(classifier, **options):
    """Explain with strings and numbers of steps static, everything else traced."""
    options = OPTIONS | options
    names = tuple(sorted((k, v) for k, v in options.items() if isinstance(v, str | int)))
    return _explain(names, classifier, {k: v for k, v in options.items() if k not in dict(names)})


def overlap(mask, truth):
    """Intersection over union."""
    return float((mask * truth).sum() / jnp.maximum(mask, truth).sum())


@pytest.mark.parametrize("hold", [0.9, "first"])
def test_the_region_that_supports_the_class_is_the_planted_one(hold):
    explanation = explain(ONE, hold=hold)
    region = explanation.info.region
    assert overlap(region.mask, LEFT) > 0.7
    p = region.probability
    assert p.shape == (2, 2)
    assert (p > 0.5).all()
    assert (p > 0.9 * region.original).all() or hold == "first"
    assert (region.without < 0.5).all()
    np.testing.assert_allclose(explanation.info.mixture, region.mask[..., None], atol=1e-6)
    np.testing.assert_allclose(explanation.info.probability, p[0, 0], rtol=1e-5)


def test_one_of_two_parts_is_enough_to_keep_the_class_and_both_must_go_to_lose_it():
    one, both = (explain(TWO, objective=name).info.region for name in ("ssr", "sdr"))
    assert max(overlap(one.mask, LEFT), overlap(one.mask, RIGHT)) > 0.7
    assert (both.without <= 0.1 * both.original).all()
    touched = [float((both.mask * part).sum() / part.sum()) for part in (LEFT, RIGHT)]
    assert min(touched) > 0.1
    assert float((both.mask * (1 - LEFT) * (1 - RIGHT)).mean()) < 0.1


def test_a_dual_region_suffices_and_is_necessary():
    region = explain(TWO, objective="dual").info.region
    assert (region.probability >= 0.9 * region.original).all()
    assert (region.without <= 0.1 * region.original).all()


def test_a_region_takes_no_pixels_that_are_not_available():
    explanation = explain(TWO, available=1 - LEFT)
    assert float((explanation.saliency * LEFT).max()) == 0
    assert overlap(explanation.info.region.mask, RIGHT) > 0.7


def test_there_is_no_region_where_no_available_pixel_carries_the_class():
    region = explain(ONE, available=1 - LEFT, steps=3).info.region
    assert np.isnan(region.area)
    assert np.isnan(region.mask).all()


@pytest.mark.parametrize(
    ("objective", "fills", "evaluations"),
    [("ssr", 1, 4 + 2), ("sdr", 2, 4 + 4), ("dual", 1, 4 + 4), ("dual", 3, 4 + 12)],
)
def test_every_step_shows_the_region_under_each_fill_with_each_edge(objective, fills, evaluations):
    seen = []

    def counted(images):
        seen.append(len(images))
        return ONE(images)

    options: dict[str, Any] = OPTIONS | {"infill": (mean(0.0),) * fills, "objective": objective}
    loop = fido_loop(**options)
    assert loop.evaluations == evaluations
    state = loop.init(KEY, ONE, IMAGE, 0)
    jax.eval_shape(lambda state: loop.step(counted, IMAGE, 0, state), state)
    assert seen == [evaluations]


def test_the_area_shrinks_while_the_class_holds_and_the_map_has_it():
    options: dict[str, Any] = OPTIONS | {"start": 0.7}
    loop = fido_loop(**options)
    state = loop.init(KEY, ONE, IMAGE, 0)
    before = state.constant.area
    np.testing.assert_allclose(before, 0.7, rtol=1e-5)
    state, record = jax.jit(lambda state: loop.step(ONE, IMAGE, 0, state))(state)
    expected = 0.7 * np.exp(-0.1 * np.clip(record.margin, -1, 1))
    np.testing.assert_allclose(state.constant.area, expected, rtol=1e-5)
    np.testing.assert_allclose(jax.nn.sigmoid(state.params).mean(), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("margin", "expected"), [(0.0, 0.5), (5.0, 0.5 / 1.5), (-5.0, 0.5 * 1.5), (0.5, 0.5 / 1.5**0.5)]
)
def test_the_change_of_the_area_is_bounded(margin, expected):
    found = next_area(jnp.float32(0.5), jnp.float32(margin), np.log(1.5))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert next_area(jnp.float32(SMALLEST), jnp.float32(9), 0.1) == np.float32(SMALLEST)
    assert next_area(jnp.float32(LARGEST), jnp.float32(-9), 0.1) == np.float32(LARGEST)


@pytest.mark.parametrize("area", [0.003, 0.2, 0.9])
def test_a_map_is_brought_to_an_area_in_its_own_order(area):
    theta = 4 * jax.random.normal(KEY, (9, 7))
    found = at_area(theta, jnp.ones((9, 7)), jnp.float32(area))
    np.testing.assert_allclose(jax.nn.sigmoid(found).mean(), area, rtol=1e-4)
    np.testing.assert_allclose(found - theta, (found - theta)[0, 0], atol=1e-5)
    weights = jax.random.uniform(KEY, (9, 7))
    found = at_area(theta, weights, jnp.float32(area))
    expected = min(area, LARGEST * float(weights.mean()))
    np.testing.assert_allclose((weights * jax.nn.sigmoid(found)).mean(), expected, rtol=1e-4)


def test_the_multiplier_is_the_slope_of_the_objective_in_the_area():
    theta = jax.random.normal(KEY, (5, 6))
    weights = jax.random.normal(jax.random.key(1), (5, 6))

    def value(theta):
        return -(weights * jax.nn.sigmoid(theta)).sum()

    grads = jax.grad(value)(theta)
    price, slope = multiplier(grads, theta, jnp.ones((5, 6)))
    moved = [theta + step for step in (-1e-2, 1e-2)]
    areas = [float(jax.nn.sigmoid(map_).sum()) for map_ in moved]
    fall = float(value(moved[0]) - value(moved[1])) / (areas[1] - areas[0])
    np.testing.assert_allclose(price, fall, rtol=1e-3)
    np.testing.assert_allclose((grads + price * slope).sum(), 0, atol=1e-5)


def test_noise_of_the_map_makes_masks_as_coarse_as_the_map():
    theta = jax.random.normal(KEY, (4, 4))
    noise = draw_noise(KEY, 6, IMAGE, theta, "map", antithetic=True)
    assert noise.shape == (6, 4, 4)
    np.testing.assert_array_equal(noise[:3], -noise[3:])
    assert draw_noise(KEY, 6, IMAGE, theta, "pixel", antithetic=False).shape == (6, SIDE, SIDE)
    keep, masks = relaxed_masks(theta, noise, (SIDE, SIDE), 0.5)
    corners = jax.nn.sigmoid((theta + noise) / 0.5)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(masks[:, [0, 0, -1, -1], [0, -1, 0, -1]], corners, rtol=1e-5)
    np.testing.assert_allclose(keep[0, 0], jax.nn.sigmoid(theta[0, 0]), rtol=1e-6)


@pytest.mark.parametrize(
    ("samples", "fills", "antithetic", "expected"),
    [
        (4, 1, True, [0, 0, 0, 0]),
        (4, 2, False, [0, 1, 0, 1]),
        (4, 2, True, [0, 1, 1, 0]),
        (2, 2, True, [0, 1]),
        (6, 3, True, [0, 1, 2, 1, 2, 0]),
    ],
)
def test_masks_take_their_infillers_in_turn(samples, fills, antithetic, expected):
    numbers = fill_numbers(samples, fills, antithetic)
    assert [number % fills for number in numbers] == expected
    colours = [0.1 * (1 + at) for at in range(fills)]
    masks = jax.random.uniform(KEY, (samples, SIDE, SIDE))
    keys = jax.random.split(KEY, samples)
    found = references([mean(c) for c in colours], numbers, keys, IMAGE, masks)
    np.testing.assert_allclose(found[:, 0, 0, 0], [colours[at] for at in expected], rtol=1e-6)


def test_several_infillers_share_the_masks_of_the_published_objective():
    options: dict[str, Any] = {"size": 4, "steps": 3, "samples": 4}
    pair, both = mean(0.2), (mean(0.2), mean(0.2))
    one = fidojax.fido(KEY, ONE, IMAGE, 0, infill=pair, **options)
    two = fidojax.fido(KEY, ONE, IMAGE, 0, infill=both, **options)
    np.testing.assert_allclose(one.saliency, two.saliency, rtol=1e-5)
    other = fidojax.fido(KEY, ONE, IMAGE, 0, infill=(mean(0.2), mean(0.9)), **options)
    assert not np.allclose(one.saliency, other.saliency, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hold": 1.5}, "hold is 1.5, expected a share between 0 and 1"),
        ({"hold": "frist"}, "hold is 'frist'"),
        ({"hold": None, "objective": "dual"}, "objective"),
        ({"hold": None, "available": jnp.ones((SIDE, SIDE))}, "available needs the option hold"),
        ({"score": "logit"}, "score is 'logit', but with hold the margin"),
        ({"noise": "white"}, "noise"),
        ({"infill": ()}, "infill is empty"),
        ({"samples": 3}, "expected an even samples, got 3"),
    ],
)
def test_options_that_do_not_fit_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        fido_loop(**OPTIONS | options)


def test_the_engine_gives_the_same_and_a_new_hold_does_not_recompile():
    images = jnp.stack([IMAGE, 0.9 * IMAGE])
    options: dict[str, Any] = OPTIONS | {"steps": 4}
    run = partial(fidojax.explain_batch, "fido", ONE, images, [0, 0], batch_size=1, rewrite=False)
    found = run(options=options)
    keys = fidojax.image_keys(0, [0, 1])
    alone = fidojax.fido(keys[0], ONE, IMAGE, 0, **options)
    np.testing.assert_allclose(found.saliency[0], alone.saliency, atol=1e-4)
    assert found.info.region.probability.shape == (2, 2, 2)
    with jax.no_tracing():
        run(options=options | {"hold": 0.5})
