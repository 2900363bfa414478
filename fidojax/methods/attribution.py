"""Functions shared by the methods that attribute a score to input values."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fidojax.core import SCORES, logits_of
from fidojax.types import Classifier, Images, Scalar, Target

Attribution = Float[Array, "h w c"]
"""One signed number per input value."""

CHANNELS: dict[str, Callable[[Attribution], Float[Array, "h w"]]] = {
    "max": lambda attribution: jnp.max(jnp.abs(attribution), axis=-1),
    "sum": lambda attribution: jnp.sum(attribution, axis=-1),
    "abs": lambda attribution: jnp.sum(jnp.abs(attribution), axis=-1),
    "norm": lambda attribution: jnp.linalg.norm(attribution, axis=-1),
}
"""The map of an attribution: over the channels the largest absolute value (Simonyan et al. 2014),
the signed sum (which keeps completeness), the sum of absolute values, or the Euclidean norm."""


class AttributionInfo(NamedTuple):
    """The further results of a method that attributes a score to input values.

    Attributes:
        attribution: "h w c", one signed number per input value.
        score: the score that is explained, on the image.
    """

    attribution: Attribution
    score: Scalar


def gradients(
    classifier: Classifier, images: Images, target: Target, score: str
) -> tuple[Float[Array, " n"], Images]:
    """Return the score of every picture and its gradient to the picture's values, in one batch."""

    def total(images):
        scores = SCORES[score](logits_of(classifier, images), target)
        return jnp.sum(scores), scores

    (_, scores), grads = jax.value_and_grad(total, has_aux=True)(images)
    return scores, grads


def mean_and_variance(
    values: Callable[[Int[Array, " m"]], Float[Array, "m ..."]],
    weights: Float[Array, " n"],
    chunk: int,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Return the weighted mean and population variance of `values(i)`, i = 0 ... n - 1.

    Args:
        values: of a batch of indices, at most `chunk` of them; what it draws must depend on the
            index alone, so that no result depends on `chunk`.
        weights: positive, with sum 1.
        chunk: the largest number of indices in one batch; more indices are a loop over batches.
    """
    count = weights.shape[0]
    loops = -(-count // chunk)
    size = -(-count // loops)

    def part(at):
        indices, share = at
        v = values(indices)
        total = jnp.sum(share)
        mean = jnp.tensordot(share / total, v, 1)
        return total, mean, jnp.tensordot(share / total, (v - mean) ** 2, 1)

    # The last batch is filled up with the last index at no weight.
    at = (
        jnp.minimum(jnp.arange(loops * size), count - 1).reshape(loops, size),
        jnp.pad(weights, (0, loops * size - count)).reshape(loops, size),
    )
    if loops == 1:  # no loop: XLA:CPU is slow at gradients of convolutions in one
        _, mean, variance = part(jax.tree.map(lambda leaf: leaf[0], at))
        return mean, variance
    shares, means, variances = jax.lax.map(part, at)
    mean = jnp.tensordot(shares, means, 1)
    return mean, jnp.tensordot(shares, variances + (means - mean) ** 2, 1)
