"""Edges of a picture, by the Sobel operator."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from fidojax.types import Image, Scalar


def edges(image: Image, threshold: float | Scalar) -> Bool[Array, "h w"]:
    """Return the pixels at which the slope of the brightness is above a threshold.

    The slope is the Euclidean norm of both Sobel filters, whose weights have absolute sum 1, on the
    mean of the colours; the border is repeated. Between two flat halves of the picture it is half
    the difference of their brightness, on both sides of the line between them.
    """
    grey = jnp.pad(image.mean(axis=-1), 1, mode="edge")

    def slope(values):  # down; the other axis is smoothed
        difference = values[2:] - values[:-2]
        return (difference[:, :-2] + 2 * difference[:, 1:-1] + difference[:, 2:]) / 8

    return jnp.hypot(slope(grey), slope(grey.T).T) > threshold


def widened_edges(found: Bool[Array, "h w"], reach: int) -> Bool[Array, "h w"]:
    """Return the pixels with an edge within `reach` pixels, in the maximum norm."""
    side = 2 * reach + 1
    return jax.lax.reduce_window(found, False, jax.lax.bitwise_or, (side, side), (1, 1), "SAME")
