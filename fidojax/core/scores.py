"""Scores of one class, which a method maximises (SSR) or minimises (SDR).

Every `Score` takes logits "... k" and the index of the class, and returns "...", float32 or the
logits' own wider type. Logarithms are natural. Logits that are no floating numbers or have fewer
than 2 classes are refused, and so is a target outside 0 ... k - 1 whose value is concrete; where it
is traced, the scores and their gradients are NaN.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core.contract import check_logits, real_target
from fidojax.types import Logits, Target

Score = Callable[[Logits, Target], Float[Array, "..."]]


def log_odds(logits: Logits, target: Target) -> Float[Array, "..."]:
    """Return log p(target) - log(1 - p(target)), exact also where p rounds to 0 or 1.

    The softmax's normaliser cancels: the logit minus the log-sum-exp of all other logits.
    """
    return logit(logits, target) - jax.nn.logsumexp(
        others(logits, target), axis=-1
    )  # FIDO eq. 3, VDSM eq. 7


def log_probability(logits: Logits, target: Target) -> Float[Array, "..."]:
    """Return log p(target), the negated cross-entropy."""
    return logit(jax.nn.log_softmax(widened(logits)), target)


def logit(logits: Logits, target: Target) -> Float[Array, "..."]:
    """Return the logit of the target; of a network that ends in log p, its log-probability."""
    return jnp.take(_asked(logits, target), jnp.asarray(target), axis=-1)


def probability(logits: Logits, target: Target) -> Float[Array, "..."]:
    """Return p(target), the softmax probability in [0, 1]."""
    return logit(jax.nn.softmax(widened(logits)), target)


SCORES: dict[str, Score] = {
    "log_odds": log_odds,
    "log_probability": log_probability,
    "logit": logit,
    "probability": probability,
}
"""The scores by name."""


def widened(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the values in float32, or unchanged in a wider type: sums of half precision round."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def others(logits: Logits, target: Target) -> Logits:
    """Return the logits of all other classes: minus infinity stands in the target's place."""
    logits = _asked(logits, target)
    return jnp.where(jnp.arange(logits.shape[-1]) == target, -jnp.inf, logits)


def class_divergence(original: Logits, perturbed: Logits) -> Float[Array, "..."]:
    """Return the KL divergence of the perturbed from the original class probabilities, in nats."""
    check_logits(original)
    check_logits(perturbed)
    before, after = (jax.nn.log_softmax(widened(logits)) for logits in (original, perturbed))
    return jnp.sum(jnp.exp(before) * (before - after), axis=-1)  # VarSal eq. 2


def _asked(logits: Logits, target: Target) -> Logits:
    """Return the logits in at least float32, checked; NaN for a traced target that is no class."""
    check_logits(logits)
    logits = widened(logits)
    real = real_target(target, logits.shape[-1])
    return logits if real is None else logits * real.astype(logits.dtype)
