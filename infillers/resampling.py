"""Resample pictures: shrink them by the mean of their kept pixels, and enlarge them smoothly.

A pixel is a square: pixel i of n covers [i / n, (i + 1) / n] of the side, in every size of the
picture. A coarse pixel is the mean over the square that it covers, at the border as inside. All
functions are pure, and take the sizes as static numbers.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.core import separable
from fidojax.types import Image, Mask
from infillers.local import local


def shrink_kept(
    image: Image, mask: Mask, shape: tuple[int, int]
) -> tuple[Float[Array, "rows columns c"], Float[Array, "rows columns"]]:
    """Resample a picture by its kept pixels alone.

    A coarse pixel is the mean of the kept pixels that it covers, weighted by the covered area, and
    0 where it covers none. Along a side that grows, dropped pixels are first filled with the mean
    of the kept pixels in the 7 x 7 window, and the picture is enlarged (`enlarge`). Where a side
    shrinks by a pixel or two, the middle is softer than the border: there halves of two pixels are
    averaged.

    Args:
        image: "h w c".
        mask: "h w", 1 = keep; soft values are weights.
        shape: the new height and width.

    Returns:
        The picture, and the kept share of the area of each pixel, in [0, 1].
    """
    shrunk = tuple(min(pair) for pair in zip(mask.shape, shape, strict=True))
    if shrunk != mask.shape:
        seen = jnp.concatenate([image * mask[..., None], mask[..., None]], axis=-1)
        seen = _apply(_area, seen, shrunk)
        total, share = seen[..., :-1], seen[..., -1:]
        image = jnp.where(share > 0, total / jnp.where(share > 0, share, 1.0), 0.0)
        mask = jnp.minimum(share[..., 0], 1.0)
    if shrunk == tuple(shape):
        return image * (mask > 0)[..., None], mask
    kept = (mask > 0).astype(image.dtype)
    around = local(FILLED, 0.0)(jax.random.key(0), image, kept)
    filled = jnp.where(kept[..., None] > 0, image, around)
    mask = _apply(_area, mask[..., None], shape)[..., 0]
    return enlarge(filled, shape) * (mask > 0)[..., None], jnp.minimum(mask, 1.0)


def enlarge(image: Image, shape: tuple[int, ...]) -> Float[Array, "rows columns c"]:
    """Enlarge a picture by Keys' cubic convolution, and shrink it along sides that get smaller.

    Constant pictures and linear ramps stay exact up to the border: beyond it the picture continues
    along the least-squares line through its first pixels. The result is linear in the picture and
    may overshoot its range at edges. A side that gets smaller is averaged over the covered area.

    Args:
        image: "h w c".
        shape: the new height and width.

    Reference: Keys, "Cubic Convolution Interpolation for Digital Image Processing", IEEE
    Transactions on Acoustics, Speech, and Signal Processing 1981 (a = -1/2).
    """
    return _apply(_cubic, image, shape)


FILLED = 7
"""The side of the window that fills dropped pixels; `_cubic` reads pixels at most 3 away."""

LINE = 4
"""The number of pixels at the border whose line continues the picture."""


def _apply(kernel, image: Image, shape: tuple[int, ...]) -> Float[Array, "rows columns c"]:
    rows, columns = (
        jnp.asarray(kernel(old, new), image.dtype)
        for old, new in zip(image.shape[:2], shape, strict=True)
    )
    return separable(image, rows, columns)


@functools.lru_cache
def _area(old: int, new: int) -> np.ndarray:
    """Return the matrix "new old" of the share of each new pixel that each old one covers."""
    # In whole numbers, so that pixels which only touch do not overlap by a rounding error.
    start, first = old * np.arange(new)[:, None], new * np.arange(old)[None, :]
    overlap = np.minimum(start + old, first + new) - np.maximum(start, first)
    return (np.maximum(overlap, 0) / old).astype(np.float32)


@functools.lru_cache
def _cubic(old: int, new: int) -> np.ndarray:
    """Return the matrix "new old" of the cubic interpolation, or of the areas where it shrinks."""
    if new <= old:
        return _area(old, new)
    at = (np.arange(new) + 0.5) * old / new - 0.5
    distance = np.abs(at[:, None] - np.arange(-2, old + 2)[None, :])
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    return (weights @ _continued(old)).astype(np.float32)


def _continued(size: int) -> np.ndarray:
    """Return the matrix "size+4 size" that continues the pixels by two along a line at each end."""
    points = min(LINE, size)
    place = np.arange(points) - (points - 1) / 2
    slope = np.zeros(size)
    slope[:points] = place / max((place**2).sum(), 0.5)  # 0 for a single pixel
    matrix = np.pad(np.eye(size), ((2, 2), (0, 0)))
    for step in (1, 2):
        before = np.eye(size)[0] - step * slope
        matrix[2 - step], matrix[-3 + step] = before, before[::-1]
    return matrix
