"""Gaussian blur, shared by the blur infiller and the methods that smooth a mask or a gradient."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.types import Image, Scalar


def gaussian_blur(image: Image, sigma: float) -> Image:
    """Gaussian blur of "h w c", sigma in pixels, as one matrix product per axis.

    The kernel reaches four sigma and has unit sum; the border is mirrored without repeating the
    edge pixel. A constant image stays what it is.
    """
    rows = jnp.asarray(_gaussian(image.shape[0], sigma), image.dtype)
    columns = jnp.asarray(_gaussian(image.shape[1], sigma), image.dtype)
    return jnp.einsum("ia,jb,abc->ijc", rows, columns, image, precision="highest")


@functools.lru_cache
def _gaussian(size: int, sigma: float) -> np.ndarray:
    """Row i holds the weights of the blurred pixel i, the mirrored border folded in."""
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


def smoothed(
    values: Float[Array, "rows columns"], sigma: float | Scalar
) -> Float[Array, "rows columns"]:
    """One channel averaged over neighbours, whose weights have unit sum at the border, too.

    Unlike that of `gaussian_blur`, `sigma` may be traced.
    """

    def weights(size: int) -> Float[Array, "n n"]:
        at = jnp.arange(size, dtype=values.dtype)
        kernel = jnp.exp(-((at[:, None] - at[None, :]) ** 2) / (2 * sigma**2))
        return kernel / kernel.sum(axis=1, keepdims=True)

    rows, columns = (weights(n) for n in values.shape)
    return jnp.einsum("ia,ab,jb->ij", rows, values, columns, precision="highest")
