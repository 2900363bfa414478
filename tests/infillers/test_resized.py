"""Infillers at another size than the picture's: constants, ramps, borders, thin structures."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import infillers
from infillers.resized import resized

KEY = jax.random.key(0)
filled = jax.jit(lambda infill, key, image, mask: infill(key, image, mask))


def shown(key, image, mask):
    """An infiller that shows what it is given, dropped pixels as 0."""
    del key
    return image * mask[..., None]


def white(key, image, mask):
    del key, mask
    return jnp.ones_like(image)


@jax.tree_util.register_static
class Composites:
    composite = True
    __call__ = staticmethod(white)


SHOWN, WHITE = Partial(shown), Partial(white)


def seen(size, image, mask, **options):
    """What the infiller is given."""
    given = []
    resized(lambda key, image, mask: given.append((image, mask)) or image, size, **options)(
        KEY, image, mask
    )
    ((small, kept),) = given
    assert small.shape == (size, size, image.shape[-1])
    assert set(np.unique(kept)) <= {0.0, 1.0}
    return np.asarray(small), np.asarray(kept)


def test_a_picture_of_its_own_size_is_left_alone():
    image, mask = jax.random.uniform(KEY, (12, 12, 3)), jnp.ones((12, 12)).at[3:6, 2:8].set(0.0)
    np.testing.assert_array_equal(resized(SHOWN, 12)(KEY, image, mask), shown(KEY, image, mask))


@pytest.mark.parametrize("size", [8, 16])
def test_no_dropped_pixel_leaks_and_a_constant_picture_stays_constant(size):
    image = jax.random.uniform(KEY, (12, 20, 3))
    mask = jax.random.bernoulli(jax.random.key(1), 0.4, (12, 20)).astype(jnp.float32)
    infill = resized(SHOWN, size)
    plain = filled(infill, KEY, image, mask)
    assert plain.shape == image.shape
    changed = jnp.where(mask[..., None] == 1, image, 0.777)
    np.testing.assert_array_equal(plain, filled(infill, KEY, changed, mask))
    flat = jnp.where(mask[..., None] == 1, 0.6, 0.0) * jnp.ones_like(image)
    small, kept = seen(size, flat, mask)
    np.testing.assert_allclose(small[kept == 1], 0.6, atol=1e-6)
    assert not small[kept == 0].any()
    local = filled(resized(infillers.local(), size), KEY, flat, mask)
    np.testing.assert_allclose(local, 0.6, atol=2e-6)


@pytest.mark.parametrize(("shape", "size"), [((28, 28), 8), ((9, 13), 8), ((7, 10), 16)])
def test_a_ramp_comes_back_as_a_ramp(shape, size):
    """To 1/8 of a step, the error of pixels that a coarse one cuts in two."""
    rows, columns = ((np.arange(n) + 0.5) / n for n in shape)
    ramp = jnp.asarray((0.7 * rows[:, None] + 0.3 * columns)[..., None], jnp.float32)
    step = 0.7 / shape[0] + 0.3 / shape[1]
    found = filled(resized(SHOWN, size), KEY, ramp, jnp.ones(shape))
    np.testing.assert_allclose(found, ramp, atol=step / 4)
    if size >= max(shape):
        np.testing.assert_allclose(found, ramp, atol=step / 8)


@pytest.mark.parametrize(("side", "size"), [(56, 16), (16, 24)])
def test_the_border_of_a_noisy_picture_is_as_rough_as_its_inside(side, size):
    noise = 0.5 + 0.1 * jax.random.normal(KEY, (side, side, 1000))
    found = filled(resized(SHOWN, size), KEY, noise, jnp.ones((side, side)))
    spread = np.asarray(found.std(axis=2))
    inside = spread[side // 4 : -(side // 4)].mean()
    for border in (spread[0], spread[-1], spread[:, 0], spread[:, -1]):
        assert 0.7 < border.mean() / inside < 1.3


def line(width, dropped):
    """A mask that keeps, or drops, a line of that width in each eighth row."""
    rows = (np.arange(32) % 8 < width) != dropped
    return jnp.asarray(np.broadcast_to(rows[:, None], (32, 32)), jnp.float32)


@pytest.mark.parametrize(
    ("mask", "share"),
    [(line(1, False), 0.5), (line(1, True), 1.0), (line(4, True), 0.5), (line(5, True), 0.5)],
)
def test_thin_structures_are_seen(mask, share):
    """At a quarter of the size: a kept line of one pixel is seen, a hole thinner than four not."""
    image = jax.random.uniform(KEY, (32, 32, 1))
    small, kept = seen(8, image, mask)
    assert kept.mean() == share
    x, z = (np.asarray(a).reshape(8, 4, 8, 4).swapaxes(1, 2) for a in (image, mask))
    for i, j in np.argwhere(kept):
        assert small[i, j, 0] == pytest.approx(x[i, j][z[i, j] == 1].mean(), abs=1e-6)


def test_enough_is_the_share_that_must_be_exceeded():
    image, mask = jnp.ones((8, 8, 1)), jnp.zeros((8, 8)).at[:2].set(1.0)
    assert [seen(2, image, mask, enough=e)[1].sum() for e in (0.0, 0.49, 0.5)] == [2, 2, 0]


def test_a_compositing_infiller_has_the_kept_pixels_exactly(small):
    image = jax.random.uniform(KEY, (20, 24, 3))
    mask = jax.random.bernoulli(jax.random.key(1), 0.5, (20, 24)).astype(jnp.float32)
    mask = mask.at[8:16, 8:16].set(0.0)
    kept = np.asarray(mask == 1)
    assert small["ca"].composite  # as the infiller inside it
    assert not small["vae"].composite
    made: list[Any] = [resized(Composites(), 8), resized(WHITE, 8, composite=True)]
    for infill in made:
        assert infill.composite
        found = np.asarray(infill(KEY, image, mask))
        np.testing.assert_array_equal(found[kept], np.asarray(image)[kept])
    assert found[12, 12, 0] == 1.0  # the infiller draws the middle of the hole
    assert found[~kept].min() < 0.9  # and no pixel that a kept coarse one covers
    np.testing.assert_allclose(resized(WHITE, 8)(KEY, image, mask), 1.0, atol=1e-6)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="size is 0"):
        resized(SHOWN, 0)
    with pytest.raises(ValueError, match=r"enough is 1, expected a share of the area in \[0, 1\)"):
        resized(SHOWN, 8, enough=1)
