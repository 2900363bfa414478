"""Several regions of a picture: each holds by itself, none overlaps another, and then they end."""

import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import beside_zero
from jax.tree_util import Partial

import fidojax
import infillers

SIDE = 12
BLACK = infillers.mean(0.0)


def block(top, left, bottom, right):
    return jnp.zeros((SIDE, SIDE)).at[top:bottom, left:right].set(1)


PARTS = jnp.stack([block(1, 1, 3, 5), block(4, 7, 8, 10), block(9, 2, 12, 6)])
"""Each by itself shows the class: 8, 12 and 12 pixels."""


def one_of(parts, images):
    """The class is there if all pixels of one of the parts are bright."""
    seen = jnp.einsum("nhwc,phw->np", images, parts) / parts.sum((1, 2))
    return beside_zero(400 * (seen.max(axis=1) - 1) + 9)


CLASSIFIER = Partial(one_of, PARTS)
IMAGES = np.stack([np.ones((SIDE, SIDE, 1)), 1 - PARTS[0][..., None], 1 - PARTS.sum(0)[..., None]])
WEIGHTS = jnp.array([3.0, 2.0, 1.0])
MASKS = np.asarray(PARTS)


def stored(key, classifier, image, target):
    """A method whose map ranks the parts, whatever it is asked."""
    del key, classifier, target
    saliency = jnp.einsum("p,phw->hw", WEIGHTS, PARTS)
    return fidojax.Explanation(saliency * image[..., 0], None)


class Info(NamedTuple):
    """What the method below returns beside its map."""

    region: fidojax.Region


def asking(key, classifier, image, target, *, infill, hold, objective, available):
    """A method that takes the options of a region and reads it out itself."""
    saliency = stored(key, classifier, image, target).saliency * available
    found = fidojax.region(
        key, classifier, image, target, saliency,
        infill=infill, hold=hold, objective=objective, available=available,
    )  # fmt: skip
    return fidojax.Explanation(saliency, Info(found))


SAYS = "image c has no region that holds: the classifier does not know the class"


@pytest.mark.parametrize("method", [stored, asking])
def test_each_part_is_found_once_and_then_there_is_none(method):
    with pytest.warns(RuntimeWarning, match=SAYS):
        found = fidojax.regions(method, CLASSIFIER, IMAGES, [0, 0, 0], infill=BLACK, ids="abc")
    np.testing.assert_array_equal(found.count, [3, 2, 0])
    np.testing.assert_array_equal(found.region.mask[0, :3], MASKS)
    np.testing.assert_array_equal(found.region.mask[1, :2], MASKS[1:])
    assert found.region.mask.shape == found.saliency.shape == (3, 4, SIDE, SIDE)
    none = ~np.isfinite(found.region.area)
    np.testing.assert_array_equal(none.sum(axis=1), [1, 2, 4])
    assert np.isnan(found.region.mask[none]).all()
    assert np.isnan(found.saliency[none]).all()
    none[:, 0] = False  # where the probabilities say why there is none
    assert np.isnan(found.region.probability[none]).all()
    assert np.isfinite(found.region.without[:, 0]).all()
    assert found.region.probability.shape == (3, 4, 1, 2)
    assert np.all(found.region.probability[0, :3] > 0.99)
    # The class is still there without one part, by the others; for picture 0 in each round.
    assert np.all(found.region.without[0, :3] > 0.99)
    if method is asking:  # its map of the second round has no longer the first part
        assert np.all(found.saliency[0, 1][MASKS[0] > 0] == 0)


def test_fido_finds_them_in_one_loop_after_the_other():
    options = fidojax.presets.fast | {"size": SIDE, "steps": 40, "noise": "map"}
    found = fidojax.regions(
        "fido", CLASSIFIER, IMAGES[:1], [0], infill=BLACK, options=options, regions=3
    )
    assert found.count == 3
    shown = found.region.mask[0]
    hit = np.einsum("rhw,phw->rp", shown, MASKS) == MASKS.sum((1, 2))
    np.testing.assert_array_equal(hit.sum(axis=0), 1)  # each part by one of the regions
    assert shown.sum(axis=0).max() == 1
    assert np.all(found.region.probability >= 0.9 * found.region.original[..., None, None])


def test_no_more_than_asked_for_and_the_deletion_of_all():
    found = fidojax.regions(stored, CLASSIFIER, IMAGES[:2], [0, 0], infill=BLACK, regions=1)
    np.testing.assert_array_equal(found.region.mask[:, 0], MASKS[:2])
    # Without the region no part is whole, so that there is no second one.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fidojax.regions(
            stored, CLASSIFIER, IMAGES[:2], [0, 0], infill=BLACK, objective="dual"
        )
    np.testing.assert_array_equal(found.count, [1, 1])
    np.testing.assert_array_equal(found.region.mask[1, 0], MASKS[1:].sum(0))


def test_a_metric_takes_options_that_differ_per_image():
    maps = np.stack([np.asarray(stored(None, None, image, 0).saliency) for image in IMAGES[[0, 0]]])
    given = CLASSIFIER, IMAGES[[0, 0]], [0, 0], maps
    each = {"available": 1 - MASKS[:2]}
    found = fidojax.measure_batch("region", *given, options={"infill": BLACK}, each=each)
    np.testing.assert_array_equal(found.mask, [MASKS[1], MASKS[0]])
    with pytest.raises(ValueError, match="each: available has 1 rows, expected 2"):
        fidojax.measure_batch(
            "region", *given, options={"infill": BLACK}, each=jax.tree.map(lambda x: x[:1], each)
        )


def test_options_that_cannot_be_are_refused():
    given = stored, CLASSIFIER, IMAGES, [0, 0, 0]
    with pytest.raises(ValueError, match="regions is 0, expected at least 1"):
        fidojax.regions(*given, infill=BLACK, regions=0)
    with pytest.raises(ValueError, match="hold is 3, expected"):
        fidojax.regions(*given, infill=BLACK, hold=3)
