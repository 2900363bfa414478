"""Gaussian blur of pictures and of maps."""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.core.separable import separable
from fidojax.types import Image, Scalar


def gaussian_blur(image: Image, sigma: float, border: str = "mirror") -> Image:
    """Return the picture blurred by a Gaussian.

    Args:
        image: "h w c".
        sigma: standard deviation in pixels, positive; a Python number.
        border: "mirror" reflects the picture without repeating the edge pixel, so that a constant
            picture stays what it is; "zero" continues it with zeros. The kernel reaches four sigma
            and has unit sum.
    """
    rows, columns = (
        jnp.asarray(_MATRICES[border](size, sigma), image.dtype) for size in image.shape[:2]
    )
    return separable(image, rows, columns)


def smoothed(
    values: Float[Array, "rows columns"], sigma: float | Scalar
) -> Float[Array, "rows columns"]:
    """Return a map averaged over Gaussian weights, which have unit sum at the border, too.

    Unlike that of `gaussian_blur`, `sigma` may be traced.
    """

    def weights(size: int) -> Float[Array, "n n"]:
        at = jnp.arange(size, dtype=values.dtype)
        kernel = jnp.exp(-((at[:, None] - at[None, :]) ** 2) / (2 * sigma**2))
        return kernel / kernel.sum(axis=1, keepdims=True)

    rows, columns = (weights(n) for n in values.shape)
    return separable(values, rows, columns)


@functools.lru_cache
def _mirrored(size: int, sigma: float) -> np.ndarray:
    """The matrix "size size" of the blur with the mirrored border folded in."""
    # OpenCV's kernel size for float images when it is left to choose: 8 sigma + 1, made odd.
    half = (round(sigma * 8 + 1) | 1) // 2
    taps = np.arange(-half, half + 1)
    kernel = np.exp(-(taps**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    mirrored = np.pad(np.arange(size), half, mode="reflect" if size > 1 else "edge")
    matrix = np.zeros((size, size))
    for i in range(size):
        np.add.at(matrix[i], mirrored[i : i + 2 * half + 1], kernel)
    return matrix


@functools.lru_cache
def _zero_padded(size: int, sigma: float) -> np.ndarray:
    """The matrix "size size" of the blur whose kernel reaches past the border into zeros."""
    half = math.ceil(4 * sigma)
    taps = np.arange(-half, half + 1)
    total = np.exp(-(taps**2) / (2 * sigma**2)).sum()
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    return np.where(abs(distance) <= half, np.exp(-(distance**2) / (2 * sigma**2)), 0) / total


_MATRICES = {"mirror": _mirrored, "zero": _zero_padded}
