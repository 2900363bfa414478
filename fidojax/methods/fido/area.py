"""Maps of a given area: how a map is brought to it, its multiplier, and how it changes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.types import Mask, Scalar

Map = Float[Array, "rows columns"]

SMALLEST, LARGEST = 0.002, 0.98
"""The limits of the area, a share of the picture: beyond them probabilities have no gradient."""


def coarsened(available: Mask | None, shape: tuple[int, ...]) -> Map:
    """Return the share of available pixels around each value of a map; 1 without `available`."""
    if available is None:
        return jnp.ones(shape)
    return jax.image.resize((available > 0.5).astype(jnp.float32), shape, "linear")


def at_area(theta: Map, available: Map, area: Scalar) -> Map:
    """Return the logits moved by one number so that the mean probability is the area.

    Where less than that is available, the area is most of what is.

    Args:
        theta: "rows columns", logits.
        available: "rows columns", weights of the probabilities in the mean.
        area: in [0, 1].
    """
    area = jnp.minimum(area, LARGEST * available.mean())

    def halve(_, bracket):
        low, high = bracket
        middle = (low + high) / 2
        too_large = (available * jax.nn.sigmoid(theta + middle)).mean() > area
        return jnp.where(too_large, low, middle), jnp.where(too_large, middle, high)

    # Beyond a logit of 20 a float32 probability is 1. 32 halvings leave less than a rounding error.
    low, high = jax.lax.fori_loop(0, 32, halve, (-20 - theta.max(), 20 - theta.min()))
    return theta + (low + high) / 2


def multiplier(grads: Map, theta: Map, available: Map) -> tuple[Scalar, Map]:
    """Return the multiplier of the area and the slope of the probabilities.

    The multiplier is what the minimised value loses where the sum of the probabilities grows by 1,
    all logits alike. `grads + multiplier * slope` has no part that changes the area.
    """
    slope = available * jax.nn.sigmoid(theta) * jax.nn.sigmoid(-theta)
    total = jnp.maximum(slope.sum(), jnp.finfo(slope.dtype).tiny)
    return -grads.sum() / total, slope


def next_area(area: Scalar, worst: Scalar, pace: float | Scalar) -> Scalar:
    """Return the area of the next step: smaller while the class holds, larger where it does not.

    Args:
        area: a share of the picture.
        worst: the worst margin, in nats; it is clipped to 1.
        pace: the largest relative change.
    """
    change = jnp.exp(-pace * jnp.clip(worst, -1, 1))
    return jnp.clip(area * change, SMALLEST, LARGEST)
