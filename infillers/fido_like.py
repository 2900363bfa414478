"""Masks such as FIDO draws and finds, for the training and the evaluation of infillers.

FIDO drops 80 to 95% of a picture, in patches, with single pixels kept or dropped between. An
infiller that was trained on small boxes has never seen that.
"""

import jax
import jax.numpy as jnp

from fidojax.types import Mask, PRNGKey, Scalar
from infillers import holes

KINDS = ("blobs", "speckled blobs", "pixels", "box", "box kept", "strokes", "strokes kept")
"""What `fido_like` draws, by the number of `kind`."""

WEIGHTS = (0.36, 0.2, 0.14, 0.1, 0.06, 0.08, 0.06)
"""The probabilities of `KINDS`."""

KEEP = (0.02, 0.7)
"""The range of the share of pixels kept by blobs and single pixels, drawn on a log scale."""

CELLS = (4.0, 56.0)
"""The range of the number of noise cells along a side of blobs, drawn on a log scale."""


def fido_like(key: PRNGKey, shape: tuple[int, int]) -> Mask:
    """Draw a mask of a random kind and size: 1 = keep, 0 = drop.

    The kinds are blobs; blobs of which single pixels are dropped, and beside which single pixels
    are kept, as in FIDO's samples; single pixels; a box that is dropped, or kept; strokes that are
    dropped, or kept.

    Under `jax.vmap` all kinds are computed for each mask; `jax.lax.map` computes one.

    Args:
        shape: rows and columns.
    """
    kind_key, key = jax.random.split(key)
    kind = jax.random.choice(kind_key, len(KINDS), p=jnp.asarray(WEIGHTS))
    draws = (_blobs, _speckled, _pixels, _box, _box_kept, _strokes, _strokes_kept)
    return jax.lax.switch(kind, [lambda key, draw=draw: draw(key, shape) for draw in draws], key)


def _blobs(key: PRNGKey, shape: tuple[int, int]) -> Mask:
    keep_key, cells_key, key = jax.random.split(key, 3)
    return holes.blobs(key, shape, log_uniform(keep_key, KEEP), log_uniform(cells_key, CELLS))


def _speckled(key: PRNGKey, shape: tuple[int, int]) -> Mask:
    inside_key, outside_key, key, pixel_key = jax.random.split(key, 4)
    mask = _blobs(key, shape)
    inside = jax.random.uniform(inside_key, minval=0.6, maxval=1.0)
    outside = log_uniform(outside_key, (0.003, 0.3))
    keep = jnp.where(mask > 0, inside, outside)
    return jax.random.bernoulli(pixel_key, keep, shape).astype(jnp.float32)


def _pixels(key: PRNGKey, shape: tuple[int, int]) -> Mask:
    keep_key, key = jax.random.split(key)
    return holes.random_pixels(key, shape, log_uniform(keep_key, (KEEP[0], 0.95)))


def _box(key: PRNGKey, shape: tuple[int, int]) -> Mask:
    sides_key, key = jax.random.split(key)
    share = jax.random.uniform(sides_key, (2,), minval=0.25, maxval=0.95)
    return holes.rectangle(key, shape, jnp.round(share * jnp.asarray(shape)).astype(jnp.int32))


def _box_kept(key: PRNGKey, shape: tuple[int, int]) -> Mask:
    return 1.0 - _box(key, shape)


def _strokes(key: PRNGKey, shape: tuple[int, int]) -> Mask:
    return holes.free_form(key, shape)


def _strokes_kept(key: PRNGKey, shape: tuple[int, int]) -> Mask:
    return 1.0 - holes.free_form(key, shape)


def log_uniform(key: PRNGKey, between: tuple[float, float]) -> Scalar:
    """Draw a number between two positive ones, uniformly on a logarithmic scale."""
    low, high = jnp.log(jnp.asarray(between))
    return jnp.exp(jax.random.uniform(key, minval=low, maxval=high))
