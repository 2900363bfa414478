"""What a mask invents and what it retains: edges, probability per information."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from fidojax.metrics import conciseness_preciseness, hallucination
from infillers import mean

SIDE = 16
KEY = jax.random.key(0)
GREY = jnp.full((SIDE, SIDE, 3), 0.6)
LEFT = jnp.zeros((SIDE, SIDE)).at[:, :8].set(1.0)
BOX = jnp.zeros((SIDE, SIDE)).at[4:12, 4:12].set(1.0)


def by_brightness(images):
    """p of class 0 is the mean brightness."""
    grey = images.mean((1, 2, 3))
    return jnp.log(jnp.stack([grey, 1 - grey], axis=-1))


def invented(image, saliency, fill=0.0, **options):
    return hallucination(
        KEY, Partial(by_brightness), image, 0, saliency, infill=mean(fill), **options
    )


def test_a_constant_picture_has_invented_edges_only():
    found = invented(GREY, LEFT)
    assert found.share == 1
    assert np.isnan(found.score)
    expected = np.zeros((SIDE, SIDE))
    expected[:, 7:9] = 1  # half the difference of brightness, 0.3, on both sides of the line
    np.testing.assert_array_equal(found.invented, expected)
    np.testing.assert_array_equal(found.image, GREY * LEFT[..., None])


@pytest.mark.parametrize("image", [GREY, LEFT[..., None] * GREY])
def test_the_whole_picture_invents_nothing(image):
    found = invented(image, jnp.ones((SIDE, SIDE)))
    assert found.share == 0
    np.testing.assert_array_equal(found.image, image)


def test_shares_of_the_mixtures_and_of_the_pictures_edges():
    """A picture with one edge down its middle, of which the upper half is kept on grey."""
    image = 0.8 * LEFT[..., None] * jnp.ones(3)
    upper = jnp.zeros((SIDE, SIDE)).at[:8].set(1.0)
    found = invented(image, upper, fill=0.4)
    seen, own = np.zeros((2, SIDE, SIDE), bool)
    seen[:8, 7:9] = True  # the upper half of the picture's edge
    seen[7:9] = True  # the border of the region
    own[:, 6:10] = True  # the picture's edge, columns 7 and 8, widened by one
    np.testing.assert_array_equal(found.invented, seen & ~own)
    np.testing.assert_allclose(found.share, (seen & ~own).sum() / seen.sum(), rtol=1e-6)
    np.testing.assert_allclose(found.score, (seen & ~own).sum() / (2 * SIDE), rtol=1e-6)


@pytest.mark.parametrize(("reach", "shift", "share"), [(1, 1, 0.0), (0, 1, 0.5), (1, 4, 1.0)])
def test_an_edge_nearby_is_the_pictures_own(reach, shift, share):
    image = LEFT[..., None] * GREY
    moved = jnp.zeros((SIDE, SIDE)).at[:, : 8 - shift].set(1.0)
    assert invented(image, moved, reach=reach).share == share


@pytest.mark.parametrize(
    ("options", "share"),
    [({"contrast": 0.29}, 1.0), ({"contrast": 0.31}, 0.0), ({"threshold": 0.7}, 0.0)],
)
def test_what_counts_as_an_edge_and_as_kept(options, share):
    saliency = jnp.where(LEFT > 0, 0.6, 0.2)
    assert invented(GREY, saliency, **options).share == share


def test_a_deletion_map_shows_the_rest():
    kept, dropped = invented(GREY, BOX), invented(GREY, 1 - BOX, objective="sdr")
    np.testing.assert_array_equal(kept.image, dropped.image)


def test_the_first_of_several_infillers_fills():
    several: dict[str, Any] = {"infill": (mean(0.0), mean(0.6))}
    classifier = Partial(by_brightness)
    assert hallucination(KEY, classifier, GREY, 0, BOX, **several).share == 1
    swapped: dict[str, Any] = {"infill": several["infill"][::-1]}
    assert hallucination(KEY, classifier, GREY, 0, BOX, **swapped).share == 0
    first, second = (
        conciseness_preciseness(KEY, classifier, GREY, 0, BOX, **given)
        for given in (several, swapped)
    )
    np.testing.assert_allclose([first.probability, second.probability], [0.25, 1], rtol=1e-5)


def precise(image, saliency, fill=0.0, **options):
    return conciseness_preciseness(
        KEY, Partial(by_brightness), image, 0, saliency, infill=mean(fill), **options
    )


@pytest.mark.parametrize("information", ["l1", "entropy"])
def test_the_whole_picture_has_all_of_both(information):
    image = jax.random.uniform(KEY, (SIDE, SIDE, 3), minval=0.1, maxval=0.9)
    found = precise(image, jnp.ones((SIDE, SIDE)), information=information)
    np.testing.assert_allclose(found, [1, 1, 1], rtol=1e-5)


def test_probability_per_information():
    image = GREY.at[:, 8:].set(0.2)  # mean brightness 0.4
    found = precise(image, LEFT, fill=0.1)
    # Kept: 0.6 in one half, 0.1 in the other, of which 0.6 / 0.8 is the picture's information.
    np.testing.assert_allclose(found, [0.35 / 0.4 / 0.75, 0.35 / 0.4, 0.75], rtol=1e-5)
    found = precise(image, LEFT, fill=0.1, information="entropy")
    shares = np.asarray(image, float).ravel() ** 2
    whole, half = shares / shares.sum(), np.full(SIDE * SIDE * 3 // 2, 2 / (SIDE * SIDE * 3))
    kept = -(half * np.log(half)).sum() / -(whole * np.log(whole)).sum()
    np.testing.assert_allclose(found, [0.35 / 0.4 / kept, 0.35 / 0.4, kept], rtol=1e-5)


def test_a_region_without_information_has_no_number():
    for image, saliency in ((GREY, 0 * LEFT), (GREY * (1 - LEFT[..., None]), LEFT)):
        assert np.isnan(precise(image, saliency)).all()


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        (hallucination, {"objective": "both"}, "objective: there is no 'both'"),
        (hallucination, {"reach": -1}, "reach is -1, expected 0 or more pixels"),
        (hallucination, {"infill": ()}, "infill is empty"),
        (conciseness_preciseness, {"information": "l2"}, "information: there is no 'l2'"),
    ],
)
def test_bad_options_are_named(metric, options, message):
    given = {"infill": mean()} | options
    with pytest.raises(ValueError, match=message):
        metric(KEY, Partial(by_brightness), GREY, 0, BOX, **given)


@pytest.mark.parametrize(
    ("metric", "options"), [(hallucination, {"contrast": 0.02}), (conciseness_preciseness, {})]
)
def test_compiled_and_in_batches(metric, options):
    images = jnp.array([0.3, 0.6, 0.9])[:, None, None, None] * GREY
    maps = jax.random.uniform(jax.random.key(1), (3, SIDE, SIDE))

    def one(image, saliency):
        return metric(KEY, Partial(by_brightness), image, 0, saliency, infill=mean(), **options)

    together = jax.jit(jax.vmap(one))(images, maps)
    for number in range(3):
        alone = one(images[number], maps[number])
        np.testing.assert_allclose(together[0][number], alone[0], rtol=1e-5)
        assert float(alone[0]) > 0
