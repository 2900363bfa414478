"""The start of an optimised mask from the map of another, cheaper method.

start = start_from(varsal(key, classifier, image, target, encoder=encoder).saliency, 16)
explanation = fido(key, classifier, image, target, infill=infill, start=start, steps=15)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import OBJECTIVES, check_name, rank, saliency_of
from fidojax.methods.readout import optimised_shape
from fidojax.types import Saliency, Scalar

SCALES = ("rank", "value")


def start_from(
    saliency: Saliency,
    size: int | None = None,
    *,
    objective: str = "ssr",
    level: float | Scalar = 0.5,
    spread: float | Scalar = 1.0,
    scale: str = "rank",
) -> Float[Array, "rows columns"]:
    """Return the option `start` of FIDO and BBMP, made from any map.

    The map is averaged down to the optimised size. Its logits get the mean of `level` and the
    standard deviation `spread`: small, and the first steps can still overturn the map; large, and
    they cannot. Two seeds that start from one map agree on what neither has looked at, so their
    agreement says less than from a cold start.

    Args:
        saliency: "h w", larger = more important, in any units.
        size: side of the optimised map, as the method takes it; a quarter of the map's sides when
            None.
        objective: "ssr", the important pixels are kept, or "sdr", they are dropped.
        level: the probability that belongs to the logits' mean: of being kept for "ssr", of being
            dropped for "sdr"; in (0, 1).
        spread: standard deviation of the logits, at least 0.
        scale: "rank" uses the order of the map alone, with normally distributed logits; "value"
            its values as they are.

    Returns:
        Keep probabilities in (0, 1). A constant map gives `level` everywhere by "value"; by "rank"
        ties are in row-major order.

    Raises:
        ValueError: an unknown name, or the size is below 1.

    Example:
        >>> cheap = fidojax.gradient(key, classifier, image, target)
        >>> start = fidojax.start_from(cheap.saliency)
        >>> explanation = fidojax.fido(
        ...     key, classifier, image, target, infill=infillers.blur(), start=start, steps=10
        ... )
    """
    check_name("objective", objective, OBJECTIVES)
    check_name("scale", scale, SCALES)
    shape = optimised_shape(saliency[..., None], size)
    small = jax.image.resize(saliency, shape, "linear")
    if scale == "rank":
        share = (small.size - 0.5 - rank(small)) / small.size
        scores = jax.scipy.stats.norm.ppf(share.astype(saliency.dtype))
    else:
        scores = small - small.mean()
    # A constant map stays one: rounding alone is no order.
    deviation = jnp.std(scores)
    flat = deviation <= 4 * jnp.finfo(saliency.dtype).eps * jnp.abs(small).max()
    scores = jnp.where(flat, 0.0, scores / jnp.where(flat, 1.0, deviation))
    probability = jax.nn.sigmoid(jax.scipy.special.logit(level) + spread * scores)
    return saliency_of(objective, probability)
