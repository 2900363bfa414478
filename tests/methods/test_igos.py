"""I-GOS and iGOS++: the direction in closed form, the line search, what the maps delete."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import fidojax
from fidojax.bench import passes_per_map
from fidojax.methods import METHODS, igos_loop, igos_pp_loop
from fidojax.methods.igos import descend, descent
from infillers import mean

SIDE = 6
NAMES = ("igos", "igos_pp")
TERMS = {"igos": 1, "igos_pp": 4}
IMAGE = jax.random.uniform(jax.random.key(0), (SIDE, SIDE, 3))
FREE: dict[str, Any] = {
    "infill": mean(0.2),
    "size": SIDE,
    "lam": 0.0,
    "tv": 0.0,
    "noise": 0.0,
    "score": "logit",
}


def quadratic(weights, images):
    """Half the square of a weighted sum, as logit of class 0."""
    total = jnp.einsum("nhwc,hwc->n", images, weights)
    return jnp.stack([total**2 / 2, 0 * total], axis=-1)


STEP = 1e-4


@pytest.fixture(scope="module")
def weights():
    return jax.random.normal(jax.random.key(1), (SIDE, SIDE, 3))


def slope_on_the_path(weights, shown, hidden, mask, points):
    """The gradient by the mask of the quadratic's mean along a path, and the mean."""
    effect = np.asarray(jnp.sum(weights * (shown - hidden), axis=-1), float)
    start, whole = float(jnp.sum(weights * hidden)), (effect * mask).sum()
    shares = np.arange(1, points + 1) / points
    totals = start + shares * whole
    return (shares * totals).mean() * effect, (totals**2 / 2).mean()


@pytest.fixture
def short_steps(monkeypatch):
    """Steps so short that nothing reaches a bound, so that a step tells the direction."""
    monkeypatch.setattr(descend, "line_search", lambda *_: STEP)


def moved(loop, weights, masks):
    """The direction of a step from these masks and its record; nothing may reach a bound."""
    classifier = Partial(quadratic, weights)
    state = loop.init(jax.random.key(2), classifier, IMAGE, 0)
    assert state.params.shape == masks.shape
    after, record = jax.jit(loop.step)(classifier, IMAGE, 0, state._replace(params=masks))
    assert 0 < after.params.min() < after.params.max() < 1
    return (masks - after.params) / STEP, record


@pytest.mark.usefixtures("short_steps")
@pytest.mark.parametrize("points", [1, 5])
def test_igos_descends_along_the_integrated_gradient(weights, points):
    masks = jax.random.uniform(jax.random.key(3), (1, SIDE, SIDE), minval=0.4, maxval=0.6)
    found, record = moved(igos_loop(**FREE, points=points), weights, masks)
    reference = jnp.full_like(IMAGE, 0.2)
    slope, value = slope_on_the_path(weights, IMAGE, reference, np.asarray(masks[0]), points)
    np.testing.assert_allclose(found[0], slope, rtol=0.02, atol=0.02)
    np.testing.assert_allclose([record.objective, record.score], [value, value], rtol=1e-4)


@pytest.mark.usefixtures("short_steps")
def test_igos_pp_descends_along_four_of_them(weights):
    deletion, insertion = masks = jax.random.uniform(
        jax.random.key(3), (2, SIDE, SIDE), minval=0.4, maxval=0.6
    )
    found, record = moved(igos_pp_loop(**FREE, points=5), weights, masks)
    reference = jnp.full_like(IMAGE, 0.2)
    slope = partial(slope_on_the_path, weights, points=5)
    out, out_value = slope(IMAGE, reference, np.asarray(deletion * insertion))
    back, back_value = slope(reference, IMAGE, np.asarray(deletion * insertion))
    first, first_value = slope(IMAGE, reference, np.asarray(deletion))
    second, second_value = slope(reference, IMAGE, np.asarray(insertion))
    expected = [((out - back) * insertion + first) / 2, ((out - back) * deletion - second) / 2]
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.02)
    value = (out_value - back_value + first_value - second_value) / 2
    np.testing.assert_allclose([record.objective, record.score], [value, out_value], rtol=1e-4)


@pytest.mark.usefixtures("short_steps")
def test_the_regularisers_join_the_direction(weights):
    mask = jax.random.uniform(jax.random.key(3), (1, SIDE, SIDE), minval=0.4, maxval=0.6)
    options: dict[str, Any] = FREE | {"lam": 36.0, "tv": 30.0}
    flat = 0 * weights
    state = igos_loop(**options).init(jax.random.key(2), Partial(quadratic, flat), IMAGE, 0)
    state = state._replace(params=mask)
    after, _ = igos_loop(**options).step(Partial(quadratic, flat), IMAGE, 0, state)
    m = np.pad(np.asarray(mask[0], float), 1, mode="edge")
    centre = m[1:-1, 1:-1]
    neighbours = [m[:-2, 1:-1], m[2:, 1:-1], m[1:-1, :-2], m[1:-1, 2:]]
    slope = 30 * 2 * sum(centre - other for other in neighbours) / (SIDE * (SIDE - 1)) - 1
    np.testing.assert_allclose((mask - after.params)[0] / STEP, slope, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("value", "direction", "size"),
    [
        (lambda m: m, 1.0, 1000.0),  # the first
        (lambda m: jnp.abs(m - 0.9), 1.0, 1000 * 0.2**6),  # the first within 0.8 ... 1
        (lambda m: m, -1.0, 1000 * 0.2**12),  # nothing lowers the value: the last
        (lambda m: 0.05 * m, 1.0, 200.0),  # a fall of 0.05 is too little for 1000
        (lambda m: jnp.nan * m, 1.0, 1000 * 0.2**12),
    ],
)
def test_the_line_search_takes_the_first_step_that_falls_enough(value, direction, size):
    mask = jnp.ones((1, 1, 1))
    found = descent.line_search(
        mask, direction * mask, lambda masks: value(masks[:, 0, 0, 0]), 1000.0
    )
    np.testing.assert_allclose(found, size, rtol=1e-5)


def test_variation_is_excused_by_the_pictures_edges():
    mask = jnp.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    image = jnp.zeros((2, 3, 3)).at[:, 2].set(jnp.array([0.1, 0.2, 0.3]))  # brightness 0.2
    plain = 2 * 2 / (1 * 3 + 2 * 2)  # two pairs of neighbours of seven, down and across
    np.testing.assert_allclose(descent.mean_variation(mask), plain, rtol=1e-6)
    excused = descent.bilateral_variation(mask, image, 0.1)
    np.testing.assert_allclose(excused, plain * np.exp(-4), rtol=1e-5)
    np.testing.assert_allclose(descent.bilateral_variation(mask, 0 * image, 0.1), plain, rtol=1e-6)


def bright_corner(images):
    """Sure of class 0 if the picture's first quarter is bright; saturated, so that the gradient
    of the picture itself is almost 0."""
    inside = images[:, :3, :3].mean((1, 2, 3))
    return jnp.stack([40 * (inside - 0.35), 0 * inside], axis=-1)


CORNER: dict[str, Any] = {"infill": mean(0.0), "size": SIDE, "points": 10, "steps": 6, "tv": 0.2}


@pytest.mark.parametrize("name", NAMES)
def test_it_passes_by_a_saturated_class(name):
    image = jnp.full((SIDE, SIDE, 3), 0.8)
    saliency, info = jax.jit(
        lambda x: METHODS[name](jax.random.key(0), bright_corner, x, 0, **CORNER)
    )(image)
    assert info.original > 0.999
    assert info.probability < 0.05
    assert info.objective[-1] < info.objective[0] - 0.1
    assert saliency[:3, :3].mean() > 0.5
    assert saliency[4:, 4:].max() < 0.2
    np.testing.assert_allclose(info.keep, 1 - saliency, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_counts_are_what_the_classifier_sees(name, weights):
    seen = []

    def watched(images):
        seen.append(len(images))
        return quadratic(weights, images)

    options = CORNER | {"points": 7, "chunk": 1000}
    loop = fidojax.LOOPS[name](**options)
    state = loop.init(jax.random.key(0), watched, IMAGE, 0)
    seen.clear()
    loop.step(watched, IMAGE, 0, state)
    assert sum(seen) == loop.evaluations == TERMS[name] * (7 + 14)
    counted = passes_per_map(name, options, (SIDE, SIDE, 3), 2)
    assert counted == (6 * loop.evaluations, 6 * TERMS[name] * 7)
    assert fidojax.LOOPS[name](infill=mean()).evaluations == TERMS[name] * 34
    assert passes_per_map(name, {}, (SIDE, SIDE, 3), 2) == (510 * TERMS[name], 300 * TERMS[name])


@pytest.mark.parametrize("name", NAMES)
def test_chunks_change_no_value(name):
    image = 0.5 + 0.5 * IMAGE
    maps = [
        METHODS[name](
            jax.random.key(0), bright_corner, image, 0, **CORNER | {"steps": 2, "chunk": chunk}
        )
        for chunk in (1000, 8)
    ]
    np.testing.assert_allclose(maps[0].saliency, maps[1].saliency, atol=1e-4)
    assert float(jnp.ptp(maps[0].saliency)) > 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "loss"}, "score: there is no 'loss'"),
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"points": 0}, "points is 0"),
        ({"chunk": 0}, "chunk is 0"),
        ({"size": 0}, "size is 0"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_bad_options_are_named(name, options, message, weights):
    given = {"infill": mean()} | options
    with pytest.raises(ValueError, match=message):
        METHODS[name](jax.random.key(0), Partial(quadratic, weights), IMAGE, 0, **given)
