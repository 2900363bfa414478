"""Holding: whether a region carries the class, as a margin that can be optimised.

A region holds in the sense of "ssr" if the class keeps the share `hold` of its probability on the
region alone, in the sense of "sdr" if it loses that share on the picture without the region, and
in the sense of "dual" if both are true. With hold="first" the class must be the classifier's first
one, or no longer be the first one.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from fidojax.core.checks import check_name
from fidojax.core.contract import logits_of
from fidojax.core.fills import as_fills
from fidojax.core.mix import mix
from fidojax.core.scores import log_odds, logit, others, widened
from fidojax.core.smoothing import smoothed
from fidojax.types import Classifier, Image, Infiller, Logits, Mask, PRNGKey, Scalar, Target

HELD = ("ssr", "sdr", "dual")
"""Senses in which a region holds: it suffices, its deletion suffices, or both."""
FIRST = "first"
"""The value of `hold` that asks for the class to stay the first one."""
EDGES = ("hard", "soft")
"""The edges with which a region is shown to the classifier."""


def senses_of(objective: str) -> tuple[str, ...]:
    """Return the senses in which a region has to hold: both of "dual", else the one."""
    return ("ssr", "sdr") if objective == "dual" else (objective,)


def check_hold(hold: Any, objective: str) -> None:
    """Check the options `hold` and `objective`; a traced hold is not checked.

    Raises:
        ValueError: the objective is none of `HELD`, or the hold is neither "first" nor between 0
            and 1.
    """
    check_name("objective", objective, HELD)
    if isinstance(hold, str):
        if hold != FIRST:
            raise ValueError(f'hold is {hold!r}, expected a share between 0 and 1, or "{FIRST}"')
    elif not isinstance(hold, Tracer) and not 0 < float(hold) < 1:
        raise ValueError(f'hold is {float(hold):g}, expected a share between 0 and 1, or "{FIRST}"')


def margin(
    logits: Logits,
    target: Target,
    original: Logits,
    hold: float | Scalar | str,
    objective: str,
) -> Float[Array, "..."]:
    """Return by how much the class holds on masked pictures; 0 or more means that it holds.

    For a share: the log-odds of p(target) minus those of the bound hold * p(picture) ("ssr"), or
    those of the bound (1 - hold) * p(picture) minus those of p(target) ("sdr"), in nats. For
    "first": the logit of the target minus the largest other one ("ssr"), or its negation ("sdr").

    Args:
        logits: "... k", on the region alone ("ssr") or on the picture without it ("sdr").
        target: the class.
        original: "k", the logits of the picture.
        hold: a share between 0 and 1, or "first".
        objective: "ssr" or "sdr".

    Raises:
        ValueError: the objective or the hold is unknown.
    """
    check_hold(hold, objective)
    sign = -1 if objective == "sdr" else 1
    if isinstance(hold, str):
        return sign * (logit(logits, target) - others(logits, target).max(axis=-1))
    share = jnp.asarray(hold, widened(original).dtype)
    share = share if objective == "ssr" else 1 - share
    return sign * (log_odds(logits, target) - _bound(original, target, share))


def _bound(original: Logits, target: Target, share: Scalar) -> Scalar:
    """The log-odds of share * p(target), exact also where p rounds to 0 or 1."""
    odds = jax.lax.stop_gradient(log_odds(original, target))
    log_p, log_rest = jax.nn.log_sigmoid(odds), jax.nn.log_sigmoid(-odds)
    # 1 - share * p is the sum of 1 - p and (1 - share) * p.
    return jnp.log(share) + log_p - jnp.logaddexp(log_rest, jnp.log1p(-share) + log_p)


def soft_edge(mask: Mask, edge: float | Scalar | None = None) -> Mask:
    """Return a hard mask with soft edges: the classifier sees it, the infiller the hard mask.

    Args:
        edge: sigma of the Gaussian in pixels; the shorter side / 112 when None, 2 pixels at 224.
    """
    return smoothed(mask, min(mask.shape) / 112 if edge is None else edge)


def filled_logits(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    mask: Mask,
    infill: Infiller | tuple[Infiller, ...],
    edge: float | Scalar | None = None,
) -> Float[Array, "fills edges k"]:
    """Return the logits of the masked picture under each fill, with hard and with soft edges.

    Args:
        key: each fill draws from it, folded with the fill's number.
        mask: "h w", of zeros and ones.
        infill: an infiller or several; each fills once, for both edges.
        edge: as `soft_edge` takes it.
    """
    masks = jnp.stack([mask, soft_edge(mask, edge)])
    fills = as_fills(infill)
    shown = []
    for number, fill in enumerate(fills):
        reference = fill(jax.random.fold_in(key, number), image, mask)
        shown.append(jax.vmap(mix, (None, 0, None))(image, masks, reference))
    return logits_of(classifier, jnp.concatenate(shown)).reshape(len(fills), len(masks), -1)
