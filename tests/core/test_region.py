"""The region of a map: exactly the pixels that a planted classifier needs, or a reason for none."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import beside_zero
from jax.tree_util import Partial

import fidojax
from fidojax.core import LEAST, Region, black, warn_of_no_region, why_none

SIDE = 12
KEY = jax.random.key(0)
IMAGE = jnp.ones((SIDE, SIDE, 1))


def block(top, left, bottom, right):
    return jnp.zeros((SIDE, SIDE)).at[top:bottom, left:right].set(1)


NEEDED, DARK = block(2, 3, 6, 8), block(7, 1, 10, 6)
ORDER = jax.random.uniform(KEY, (SIDE, SIDE))
"""Distinct values: of the pixels inside a block and outside it."""
EXACT = {"refinements": 8}
"""Bisection down to single pixels."""


def every(needed, images):
    """The class is there if all of the needed pixels are bright."""
    return beside_zero(400 * (jnp.einsum("nhwc,hw->n", images, needed) / needed.sum() - 1) + 9)


def some(needed, images):
    """The class is there if one of the pixels is bright."""
    return beside_zero(20 * (images[..., 0] * needed).max((1, 2)) - 10)


def bright_on_dark(needed, dark, images):
    """The class is there if the needed pixels are bright, and the dark ones dark."""
    grey = images[..., 0]
    seen = [(grey * part).sum((1, 2)) / part.sum() for part in (needed, dark)]
    return beside_zero(400 * (seen[0] - seen[1] - 1) + 9)


def white(key, image, mask):
    return jnp.ones_like(image)


def same(key, image, mask):
    return image


def region(classifier, saliency, *, image=IMAGE, **options):
    options = {"infill": black, **EXACT, **options}
    found = jax.jit(
        lambda classifier, image, saliency: fidojax.region(
            KEY, classifier, image, 0, saliency, **options
        )
    )
    return found(classifier, image, saliency)


ALL, ONE = Partial(every, NEEDED), Partial(some, NEEDED)
FIRST = (jnp.where(NEEDED > 0, ORDER, 0) == (NEEDED * ORDER).max()).astype(float)
"""The pixel of the needed ones that the map ranks first."""


@pytest.mark.parametrize(
    ("classifier", "objective", "expected"),
    [
        (ALL, "ssr", NEEDED),  # the class needs them all
        (ALL, "sdr", FIRST),  # so that it is gone without one of them
        (ONE, "ssr", FIRST),
        (ONE, "sdr", NEEDED),
        (ALL, "dual", NEEDED),
        (ONE, "dual", NEEDED),
    ],
)
@pytest.mark.parametrize("hold", [0.9, "first"])
def test_the_region_is_what_the_class_needs(classifier, objective, hold, expected):
    found = region(classifier, NEEDED + ORDER, objective=objective, hold=hold)
    np.testing.assert_array_equal(found.mask, expected)
    np.testing.assert_allclose(found.area, expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(found.level, np.min((NEEDED + ORDER)[expected > 0]))
    p = [jax.nn.softmax(classifier((IMAGE * m[..., None])[None]))[0, 0] for m in
         (expected, 1 - expected, jnp.ones_like(expected))]  # fmt: skip
    for ours, theirs in zip((found.probability, found.without, found.original), p, strict=True):
        np.testing.assert_allclose(ours, np.broadcast_to(theirs, ours.shape), rtol=1e-4)


def test_pixels_of_equal_saliency_stay_together():
    coarse = NEEDED + block(0, 0, 6, 12)
    np.testing.assert_array_equal(region(ALL, coarse).mask, NEEDED)
    np.testing.assert_array_equal(region(ALL, block(0, 0, 6, 12)).mask, block(0, 0, 6, 12))
    assert region(ALL, jnp.zeros((SIDE, SIDE))).area == 1


def test_the_region_holds_under_each_fill():
    image = jnp.where(DARK[..., None] > 0, 0.0, IMAGE)
    saliency = 2 * NEEDED + DARK + ORDER
    classifier = Partial(bright_on_dark, NEEDED, DARK)
    one = region(classifier, saliency, image=image)
    np.testing.assert_array_equal(one.mask, NEEDED)
    both = region(classifier, saliency, image=image, infill=(black, white))
    np.testing.assert_array_equal(both.mask, NEEDED + DARK)
    assert both.probability.shape == (2, 2)
    # Without the region, black shows neither part, and white shows both bright.
    np.testing.assert_allclose(both.without, 0, atol=1e-6)


def test_a_region_of_scattered_pixels_breaks_at_soft_edges():
    confetti = NEEDED * (jnp.indices((SIDE, SIDE)).sum(0) % 2)
    saliency = 2 * confetti + NEEDED + 0.1 * ORDER
    hard = region(Partial(every, confetti), saliency, edge=0.01)
    np.testing.assert_array_equal(hard.mask, confetti)
    np.testing.assert_allclose(hard.probability[:, 0], hard.probability[:, 1], rtol=1e-6)
    soft = region(Partial(every, confetti), saliency, edge=1.0)
    assert soft.area > 2 * hard.area
    assert np.all(soft.probability >= 0.9 * soft.original)


def test_only_available_pixels_are_taken():
    available = 1 - block(0, 0, SIDE, 4)
    second = block(6, 6, 8, 8)
    classifier = Partial(some, NEEDED + second)
    found = region(classifier, 2 * NEEDED + second + ORDER, objective="sdr", available=available)
    assert np.isnan(found.area)  # a column of the needed ones remains
    found = region(classifier, 2 * NEEDED + second + ORDER, available=1 - NEEDED)
    np.testing.assert_array_equal(found.mask, second * ((second * ORDER).max() == ORDER))
    assert np.isnan(region(classifier, ORDER, available=0 * ORDER).area)


def by_count(table, images):
    """The class is there for some numbers of shown pixels, which the table says."""
    count = jnp.round(images.sum((1, 2, 3))).astype(int)
    return beside_zero(20 * table[count] - 10)


def test_the_scan_and_the_bisection_end_at_the_lower_edge_of_a_set_that_holds():
    draw = np.random.default_rng(0)
    tables = (draw.random((64, 145)) < draw.random((64, 1))).astype(np.float32)
    steps = draw.integers(1, 144, 16)
    tables = np.concatenate([tables, np.arange(145) >= steps[:, None]])
    tables[:, -1] = 1  # the class is there in the picture
    options = {"infill": black, "edge": 0.01}
    found = jax.jit(jax.vmap(lambda table: fidojax.region(
        KEY, Partial(by_count, table), IMAGE, 0, ORDER, **options).area))(tables)  # fmt: skip
    scanned = np.ceil(np.geomspace(1, LEAST, 8).astype(np.float32) * 144).astype(int)
    for table, area in zip(tables, found, strict=True):
        count = round(float(area) * 144)
        assert table[count]
        first = min(n for n in scanned if table[n])
        below = max([n for n in scanned if n < first], default=0)
        assert below < count <= first
    np.testing.assert_allclose(144 * found[64:], steps, rtol=0.045, atol=1)


SAYS = {
    "unknown": "the classifier does not know the class: p is 0.5 on the picture, at most 1/2",
    "fill": "no part of the picture holds in the order of the map: p is 1 on the largest one, 1"
    " without it, and 1 on the picture",
    "map": "the map or an infill is not finite",
    "output": "the classifier's output on the picture is not finite",
}


def missing(case):
    flat = Partial(lambda images: jnp.zeros((len(images), 2)))
    lost = Partial(lambda images: jnp.full((len(images), 2), jnp.nan))
    return {
        "unknown": lambda: region(flat, ORDER),
        "fill": lambda: region(ALL, ORDER, objective="sdr", infill=same),
        "map": lambda: region(ALL, ORDER.at[0, 0].set(jnp.nan)),
        "output": lambda: region(lost, ORDER),
    }[case]()


@pytest.mark.parametrize("case", SAYS)
def test_where_there_is_no_region_a_sentence_says_why(case):
    found = missing(case)
    assert np.isnan(found.mask).all()
    assert np.isnan(found.area)
    assert np.isnan(found.level)
    assert (why_none(found, 2) or "").startswith(SAYS[case])


def test_a_class_that_is_not_the_first_has_no_region_without_which_it_is_not_the_first():
    classifier = Partial(lambda images: jnp.array([1.0, 1.5, -9, -9]) + 0 * images[:, :1, 0, 0])
    found = region(classifier, ORDER, objective="sdr", hold="first")
    assert found.original > 1 / 4
    assert np.isnan(found.area)


def test_a_batch_warns_once():
    good, bad = region(ALL, ORDER), missing("map")
    assert why_none(good, 2) is None
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), good, bad, bad)
    assert isinstance(batch, Region)
    says = f"image b has no region that holds, and so for 1 more images: {SAYS['map']}"
    with pytest.warns(RuntimeWarning, match=says):
        warn_of_no_region(batch, 2, "abc")
    warn_of_no_region(jax.tree.map(lambda leaf: leaf[:1], batch), 2, "a")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"infill": ()}, "infill is empty"),
        ({"hold": 2.0}, "hold is 2, expected"),
        ({"levels": 0}, "levels is 0, expected at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    options = {"saliency": ORDER, "infill": black, **options}
    with pytest.raises(ValueError, match=says):
        fidojax.region(KEY, ALL, IMAGE, 0, **options)


def reading(key, classifier, image, target, *, infill):
    """A method whose map is the picture, with its region."""
    saliency = image.mean(axis=-1)
    found = fidojax.region(key, classifier, image, target, saliency, infill=infill)
    return fidojax.Explanation(saliency, Info(found))


class Info(NamedTuple):
    """What the method above returns beside its map."""

    region: Region


def test_the_engine_warns_where_a_method_reads_out_no_region():
    images = jnp.stack([NEEDED[..., None], 0.2 * IMAGE, 0.1 * IMAGE])
    says = "image b has no region that holds, and so for 1 more images: .*does not know the class"
    with pytest.warns(RuntimeWarning, match=says):
        found = fidojax.explain_batch(
            reading, ALL, images, [0] * 3, options={"infill": Partial(black)}, ids="abc"
        )
    np.testing.assert_allclose(found.info.region.area, [20 / 144, np.nan, np.nan])
