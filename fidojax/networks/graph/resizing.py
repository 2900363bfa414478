"""Resizing of values "n c h w" by one matrix for each axis."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from fidojax.networks.graph.view import channels_last, from_channels_last


def resize(x: Any, matrices: Sequence[np.ndarray | None]) -> Any:
    """Return the picture with each spatial axis multiplied by its matrix "new old"."""
    image = channels_last(x)
    for axis, matrix in enumerate(matrices, start=1):
        if matrix is None:
            continue
        if (np.count_nonzero(matrix, 1) == 1).all() and (matrix.max(1) == 1).all():
            image = jnp.take(image, matrix.argmax(1), axis=axis)
        else:
            mixed = jnp.tensordot(jnp.asarray(matrix, image.dtype), image, ((1,), (axis,)))
            image = jnp.moveaxis(mixed, 0, axis)
    return from_channels_last(image)


def centres(new: int, old: int, aligned: bool, scale: float | None = None) -> np.ndarray:
    """Return where the new pixels lie among the old ones, in old pixels.

    Args:
        aligned: whether the corner pixels lie on one another, or else the corners.
        scale: old pixels per new one, old / new if not given.
    """
    if aligned:
        return np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 0.0)
    return (np.arange(new) + 0.5) * (old / new if scale is None else scale) - 0.5


def nearest(at: np.ndarray, old: int) -> np.ndarray:
    """Return the matrix that takes the old pixel of each whole number in `at`."""
    return np.eye(old)[np.clip(at.astype(int), 0, old - 1)]


def linear(at: np.ndarray, old: int) -> np.ndarray:
    """Return the matrix of linear interpolation; the edge is repeated."""
    at = np.clip(at, 0, old - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)))


def cubic(at: np.ndarray, old: int, a: float = -0.75) -> np.ndarray:
    """Return the matrix of cubic convolution with this coefficient; the edge is repeated."""
    matrix, first = np.zeros((len(at), old)), np.floor(at).astype(int)
    for tap in range(-1, 3):
        place = first + tap
        weight = cubic_kernel(at - place, a)
        np.add.at(matrix, (np.arange(len(at)), np.clip(place, 0, old - 1)), weight)
    return matrix


def antialiased(
    at: np.ndarray, old: int, scale: float, kernel: Callable, support: float
) -> np.ndarray:
    """Return the matrix of a kernel that is as wide as a new pixel, with rows that sum to 1.

    Args:
        scale: old pixels per new one.
        kernel: the weight at a distance.
        support: the distance from which on the kernel is 0.
    """
    wide = max(scale, 1.0)
    middle = at + 0.5
    low = np.maximum((middle - support * wide + 0.5).astype(int), 0)
    high = np.minimum((middle + support * wide + 0.5).astype(int), old)
    places = np.arange(old)
    inside = (places >= low[:, None]) & (places < high[:, None])
    weights = np.where(inside, kernel((places + 0.5 - middle[:, None]) / wide), 0)
    return weights / weights.sum(1, keepdims=True)


def triangle_kernel(distance: np.ndarray) -> np.ndarray:
    """Return the weights of linear interpolation."""
    return np.maximum(0, 1 - np.abs(distance))


def cubic_kernel(distance: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Return the weights of cubic convolution (Keys 1981) with the coefficient a."""
    t = np.abs(distance)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))
