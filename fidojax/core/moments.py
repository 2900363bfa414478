"""Running mean and standard error of maps, safe in float32: no large sums are subtracted.

Reference: Chan, Golub & LeVeque, "Algorithms for Computing the Sample Variance", 1983.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Moments(NamedTuple):
    """The count, mean and spread of the maps seen so far.

    Attributes:
        count: number of maps.
        mean: their mean.
        deviation: sum of their squared differences from the mean.
    """

    count: Int[Array, ""]
    mean: Float[Array, "*shape"]
    deviation: Float[Array, "*shape"]


def none_of(like: Float[Array, "*shape"]) -> Moments:
    """Return the moments before the first map, in the shape and type of `like`."""
    return Moments(jnp.zeros((), jnp.int32), jnp.zeros_like(like), jnp.zeros_like(like))


def add(moments: Moments, maps: Float[Array, "n *shape"], valid: Bool[Array, " n"]) -> Moments:
    """Return the moments with the valid ones of `maps` added."""
    share = valid.astype(maps.dtype).reshape(-1, *[1] * moments.mean.ndim)
    before, count = moments.count.astype(maps.dtype), share.sum()
    mean = (share * maps).sum(axis=0) / jnp.maximum(count, 1)
    deviation = (share * (maps - mean) ** 2).sum(axis=0)
    gap, weight = mean - moments.mean, count / jnp.maximum(before + count, 1)
    return Moments(
        moments.count + valid.sum(dtype=jnp.int32),
        moments.mean + weight * gap,
        moments.deviation + deviation + before * weight * gap**2,
    )


def standard_error(moments: Moments) -> Float[Array, "*shape"]:
    """Return the standard error of the mean; infinite for fewer than two maps."""
    count = moments.count.astype(moments.mean.dtype)
    variance = moments.deviation / jnp.maximum(count - 1, 1) / jnp.maximum(count, 1)
    return jnp.where(moments.count > 1, jnp.sqrt(variance), jnp.inf)
