"""Two classes of one picture: which region speaks for which, and what it says of the other."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from fidojax.core import black, region
from fidojax.engine import compare_regions

LEFT, RIGHT = (slice(2, 6), slice(0, 3)), (slice(2, 6), slice(5, 8))
BLACK = Partial(black)


def two_patches(scale, images):
    """The logit of each class is the brightness of its own patch; a third class is constant."""
    logits = [scale * images[(slice(None), *patch)].mean((1, 2, 3)) for patch in (LEFT, RIGHT)]
    return jnp.stack([*logits, jnp.zeros(len(images))], axis=1)


CLASSIFIER = Partial(two_patches, jnp.float32(6.0))
IMAGE = jnp.ones((8, 8, 3))
TARGETS = jnp.array([0, 1])
MAPS = jnp.zeros((2, 8, 8)).at[(0, *LEFT)].set(1.0).at[(1, *RIGHT)].set(1.0)


def found(given=None):
    return compare_regions(
        jax.random.key(0), CLASSIFIER, IMAGE, TARGETS, MAPS, infill=BLACK, hold=0.9, found=given
    )


def test_each_region_carries_its_own_class_and_not_the_other():
    """On the left patch alone, the logits are 6, 0, 0; without it 0, 6, 0."""
    out = found()
    np.testing.assert_array_equal(out.region.mask, MAPS)
    assert out.probability.shape == out.without.shape == (2, 1, 2, 2)
    own, other = float(jax.nn.softmax(jnp.array([6.0, 0, 0]))[0]), 1 / (np.exp(6.0) + 2)
    expected = np.array([[own, other], [other, own]])
    np.testing.assert_allclose(out.probability[:, 0, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(out.without[:, 0, 0], expected[::-1], rtol=1e-5)


def test_the_regions_are_those_of_each_class_alone_and_may_be_given():
    out = jax.jit(lambda: found())()
    for at, target in enumerate(TARGETS):
        alone = region(
            jax.random.key(0), CLASSIFIER, IMAGE, target, MAPS[at], infill=BLACK, hold=0.9
        )  # fmt: skip
        np.testing.assert_allclose(out.region.mask[at], alone.mask)
        np.testing.assert_allclose(out.probability[at, ..., at], alone.probability, rtol=1e-5)
        np.testing.assert_allclose(out.without[at, ..., at], alone.without, rtol=1e-5)
    swapped = jax.tree.map(lambda leaf: leaf[::-1], out.region)
    np.testing.assert_allclose(found(swapped).probability, out.probability[::-1], rtol=1e-5)


def test_a_class_without_a_region_has_no_numbers():
    out = compare_regions(
        jax.random.key(0), CLASSIFIER, IMAGE, jnp.array([0, 2]), MAPS, infill=BLACK
    )
    assert np.isfinite(out.probability[0]).all()
    assert np.isnan(out.probability[1]).all()
    assert np.isnan(out.without[1]).all()
