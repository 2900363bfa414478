"""The mixture of masks on which infillers are trained and measured."""

import jax
import numpy as np
import pytest

from infillers.fido_like import CELLS, KEEP, KINDS, WEIGHTS, fido_like

SHAPE = (32, 24)


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    keys = jax.random.split(jax.random.key(3), 600)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(lambda k: fido_like(k, SHAPE), keys))(keys))


def test_masks_are_hard_and_the_same_under_vmap(masks):
    assert masks.shape == (600, *SHAPE)
    assert set(np.unique(masks)) == {0, 1}
    keys = jax.random.split(jax.random.key(3), 600)[:20]
    again = jax.jit(jax.vmap(lambda key: fido_like(key, SHAPE)))(keys)
    np.testing.assert_array_equal(masks[:20], again)


def test_the_probabilities_are_those_of_all_kinds():
    assert len(KINDS) == len(WEIGHTS)
    assert sum(WEIGHTS) == pytest.approx(1)
    assert (KEEP, CELLS) == ((0.02, 0.7), (4.0, 56.0))


def test_boxes_are_as_frequent_as_they_should_be_and_both_kept_and_dropped(masks):
    def is_box(mask):
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        return mask.any() and mask[np.ix_(rows, columns)].all() and mask.mean() < 0.95

    dropped = sum(is_box(mask == 0) and len(set(mask.ravel())) == 2 for mask in masks)
    kept = sum(is_box(mask == 1) for mask in masks)
    assert dropped / 600 == pytest.approx(WEIGHTS[KINDS.index("box")], abs=0.035)
    assert kept / 600 == pytest.approx(WEIGHTS[KINDS.index("box kept")], abs=0.035)


def test_little_is_kept_often(masks):
    kept = masks.mean((1, 2))
    assert 0.3 < (kept < 0.2).mean() < 0.6
    assert (kept > 0.6).mean() > 0.1
    assert kept.min() > 0
