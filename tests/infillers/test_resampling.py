"""Shrinking by kept pixels and enlarging: slow references, constants, ramps, borders."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infillers.resampling import enlarge, shrink_kept

SHAPES = [
    ((28, 27), (8, 8)), ((9, 8), (8, 8)), ((6, 8), (16, 9)), ((5, 16), (12, 7)), ((1, 2), (4, 3)),
]  # fmt: skip
"""Shapes before and after: halves of pixels, odd sides, one pixel more or less, both directions."""


def pair(shape, keep=0.3, seed=0):
    image_key, mask_key = jax.random.split(jax.random.key(seed))
    image = jax.random.uniform(image_key, (*shape, 3))
    return image, jax.random.bernoulli(mask_key, keep, shape).astype(jnp.float32)


def ramp(shape):
    """A linear ramp along both sides, in [0, 1], by the centres of the pixels."""
    rows, columns = ((np.arange(n) + 0.5) / n for n in shape)
    return jnp.asarray((0.7 * rows[:, None] + 0.3 * columns)[..., None], jnp.float32)


@pytest.mark.parametrize("shape", [(3, 5), (1, 12)])
def test_a_coarse_pixel_is_the_mean_of_the_kept_pixels_that_it_covers(shape):
    image, mask = pair((7, 12))
    small, kept = shrink_kept(image, mask, shape)
    for i, j in itertools.product(*map(range, shape)):
        total, weight = np.zeros(3), 0.0
        for a, b in itertools.product(range(7), range(12)):
            # The overlap of the squares [a, a + 1] and [7 i / rows, 7 (i + 1) / rows].
            high = min(a + 1, 7 * (i + 1) / shape[0]) - max(a, 7 * i / shape[0])
            wide = min(b + 1, 12 * (j + 1) / shape[1]) - max(b, 12 * j / shape[1])
            part = max(high, 0) * max(wide, 0) * float(mask[a, b])
            total, weight = total + part * np.asarray(image[a, b]), weight + part
        share = weight / (7 * 12 / (shape[0] * shape[1]))
        assert float(kept[i, j]) == pytest.approx(share, abs=1e-5)
        expected = total / weight if share > 1e-6 else np.zeros(3)
        np.testing.assert_allclose(small[i, j], expected, atol=1e-5)


@pytest.mark.parametrize(("before", "after"), SHAPES)
@pytest.mark.parametrize("keep", [0.02, 0.3, 1.0])
def test_a_constant_picture_stays_constant_whatever_the_mask(before, after, keep):
    mask = pair(before, keep, seed=3)[1].at[0, 0].set(1.0)
    garbage = jnp.where(mask[..., None] > 0, 0.6, 77.0) * jnp.ones((*before, 3))
    found, kept = shrink_kept(garbage, mask, after)
    assert found.shape == (*after, 3)
    assert float(kept.max()) <= 1
    np.testing.assert_allclose(found[kept > 0], 0.6, atol=1e-6)
    assert not np.any(np.asarray(found)[np.asarray(kept) == 0])
    np.testing.assert_allclose(kept.mean(), mask.mean(), atol=1e-6)  # the kept area stays
    np.testing.assert_allclose(enlarge(0.6 * jnp.ones((*before, 3)), after), 0.6, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [s for s in SHAPES if min(s[0]) > 1])
def test_a_ramp_stays_a_ramp_up_to_the_border(before, after):
    """Exactly where it grows; a pixel cut in two weighs its parts alike: 1/8 of a step at most."""
    step = 0.7 / before[0] + 0.3 / before[1]
    found, kept = shrink_kept(ramp(before), jnp.ones(before), after)
    np.testing.assert_allclose(kept, 1, atol=1e-6)
    np.testing.assert_allclose(found, ramp(after), atol=step / 8 + 1e-6)
    np.testing.assert_allclose(enlarge(ramp(before), after), ramp(after), atol=step / 8 + 1e-6)
    if after[0] >= before[0] and after[1] >= before[1]:
        np.testing.assert_allclose(found, ramp(after), atol=1e-6)


def test_no_dropped_pixel_leaks():
    image, mask = pair((6, 16), 0.5)
    changed = jnp.where(mask[..., None] > 0, image, 0.777)
    for shape in [(3, 5), (9, 5)]:
        for one, other in zip(
            shrink_kept(image, mask, shape), shrink_kept(changed, mask, shape), strict=True
        ):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("before", "after"), [(64, 224), (64, 63), (63, 64), (224, 64)])
def test_the_border_of_noise_is_as_rough_as_its_inside(before, after):
    """The spread of white noise in the outermost rows against that inside: no bands."""
    noise = jax.random.normal(jax.random.key(0), (before, 1, 4000))
    spread = np.asarray(enlarge(noise, (after, 1)).std(axis=(1, 2)))
    inside = spread[after // 4 : -(after // 4)]
    for row in (*spread[:2], *spread[-2:]):
        assert 0.75 * inside.min() < row < 1.25 * inside.max()


def test_an_enlarged_picture_has_no_steps():
    """The largest jump between pixels falls with their size: nothing shows the coarse pixels."""
    image = pair((8, 8))[0]
    jumps = [
        float(jnp.abs(jnp.diff(enlarge(image, (n, 8)), axis=0)).max()) * n for n in (64, 128, 256)
    ]
    assert max(jumps) < 1.1 * min(jumps)


def test_a_mask_is_kept_by_share_and_rows_shrink_while_columns_grow():
    mask = jnp.zeros((4, 2)).at[0, 0].set(1.0)
    _, kept = shrink_kept(jnp.ones((4, 2, 1)), mask, (2, 4))
    np.testing.assert_allclose(kept, [[0.5, 0.5, 0, 0], [0, 0, 0, 0]], atol=1e-6)
