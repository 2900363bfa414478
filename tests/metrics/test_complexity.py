"""Complexity and mask size: published numbers, extremes, what must not matter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from fidojax import metrics

CLASSIFIER = Partial(lambda images: images.sum((1, 2)))


def complexity(saliency):
    """Of a picture that has no effect."""
    picture = jnp.zeros((*saliency.shape, 1))
    return metrics.complexity(jax.random.key(0), CLASSIFIER, picture, 0, saliency)


def mask_size(keep):
    """Of a picture that has no effect."""
    picture = jnp.zeros((*keep.shape, 1))
    return metrics.mask_size(jax.random.key(0), CLASSIFIER, picture, 0, keep)


RAMP = (jnp.arange(16.0).reshape(4, 4) - 4) / 10


def test_published_numbers():
    """Q-SPA, Q-CPX: of the weights of L16, whatever their unit."""
    for scale in (1, -3):
        found = complexity(scale * RAMP)
        assert float(found.gini) == pytest.approx(0.394737, abs=1e-6)
        assert float(found.entropy) == pytest.approx(2.5059045610, abs=1e-5)


def test_a_flat_map_and_a_single_pixel():
    flat = complexity(jnp.full((5, 6), 0.2))
    assert float(flat.gini) == pytest.approx(0, abs=1e-6)
    assert float(flat.entropy) == pytest.approx(np.log(30), rel=1e-6)
    single = complexity(jnp.zeros((5, 6)).at[2, 3].set(-4))
    assert float(single.gini) == pytest.approx(29 / 30, rel=1e-6)
    assert float(single.entropy) == 0


def test_gini_is_the_mean_difference_of_all_pairs():
    values = jax.random.normal(jax.random.key(0), (6, 7))
    size = np.abs(np.asarray(values, np.float64)).ravel()
    expected = np.abs(np.subtract.outer(size, size)).mean() / (2 * size.mean())
    assert float(complexity(values).gini) == pytest.approx(expected, rel=1e-5)


def test_an_empty_or_broken_map_has_no_number():
    for own in (jnp.zeros((4, 4)), RAMP.at[0, 0].set(jnp.nan), RAMP.at[1, 1].set(jnp.inf)):
        assert np.all(np.isnan(complexity(own)))


def test_a_map_is_measured_alone_whatever_else_is_in_the_batch():
    alone, batch = complexity(RAMP), jax.vmap(complexity)(jnp.stack([RAMP, 1000 * RAMP**2]))
    for got, expected in zip(batch, alone, strict=True):
        assert float(got[0]) == pytest.approx(float(expected), rel=1e-6)


def test_the_size_of_a_mask_and_how_sure_it_is():
    keep = jnp.array([[0.0, 1.0], [0.5, 0.9]])
    found = mask_size(keep)
    assert float(found.size) == pytest.approx(0.6)
    sure = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert float(found.entropy) == pytest.approx((np.log(2) + sure) / 4, rel=1e-5)
    dropped = mask_size(1 - keep)
    assert float(dropped.size) == pytest.approx(0.4)
    assert float(dropped.entropy) == pytest.approx(float(found.entropy), rel=1e-5)
    hard = mask_size(jnp.round(keep))
    assert float(hard.entropy) == 0
