"""The region of a map: the smallest set of its most salient pixels that carries the class.

Fong, Patrick and Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth
Masks", ICCV 2019, define the smallest area at which a threshold is reached and find it by scanning
areas. Here the areas are those of the map's own order, and the class has to hold whatever fills the
rest, with hard and with soft edges, so that the region is no artefact of one fill.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fidojax.core.arguments import of_one_image
from fidojax.core.checks import check_count
from fidojax.core.contract import logits_of
from fidojax.core.fills import as_fills
from fidojax.core.holding import FIRST, check_hold, filled_logits, margin, senses_of
from fidojax.core.scores import probability
from fidojax.types import (
    Classifier,
    Image,
    Infiller,
    Logits,
    Mask,
    PRNGKey,
    Saliency,
    Scalar,
    Target,
)

LEAST = 0.01
"""The smallest area of the scan; the search between it and a single pixel follows."""
Count = Int[Array, ""]
"""A number of pixels."""


class Region(NamedTuple):
    """The region of one map.

    Where no region holds, `mask`, `level` and `area` are NaN, and `probability` and `without` are
    those of the largest region, all available pixels. All but `original` is NaN where the map is
    not finite. The edges are hard, soft.

    Attributes:
        mask: "h w", 1 in the region, 0 outside.
        level: the smallest value of the map inside the region.
        area: share of the picture's pixels, in [0, 1].
        probability: "fills edges", p(target) on the region alone.
        without: "fills edges", p(target) on the picture without the region.
        original: p(target) on the picture.
    """

    mask: Mask
    level: Scalar
    area: Scalar
    probability: Float[Array, "fills edges"]
    without: Float[Array, "fills edges"]
    original: Scalar


@of_one_image
def region(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller | tuple[Infiller, ...],
    hold: float | Scalar | str = 0.9,
    objective: str = "ssr",
    edge: float | Scalar | None = None,
    available: Mask | None = None,
    levels: int = 8,
    refinements: int = 4,
) -> Region:
    """The smallest superlevel set of a map that carries the class under each fill and edge.

    Its area is in [0, 1]; lower is better, and NaN where no region holds. Pixels of equal saliency
    stay together. A scan over areas, evenly spaced on a logarithmic scale from .01 to 1, finds the
    smallest that holds, and bisection narrows it down to the area below: by the defaults to 4%.
    With two fills this takes 57 forward evaluations ("dual": 105), of which four ("dual": eight)
    are in memory at once.

    Args:
        saliency: any map, larger = more important; only the order of its values counts.
        infill: fills the other pixels, an infiller or several: the class must hold under each.
        hold: the share of p(target) on the picture that the class keeps ("ssr") or loses ("sdr"),
            or "first": the class is the first one ("ssr"), or no longer ("sdr").
        objective: "ssr" (the region alone carries the class), "sdr" (without the region the class
            is gone), or "dual" (both).
        edge: sigma of the soft edges in pixels; the shorter side / 112 when None.
        available: "h w", the region takes pixels only where this is above 0.5; all when None.
        levels: the number of areas in the scan.
        refinements: steps of the bisection.

    Raises:
        ValueError: the map's shape is not the image's, there is no infiller, the objective or the
            hold is unknown, or a count is below 1.

    Example:
        import fidojax, infillers

        fills = infillers.mean(), infillers.blur(1.0)
        found = fidojax.region(key, classifier, image, target, saliency, infill=fills)
        area = found.area  # NaN where no region holds
        p = found.probability  # "fills edges", on the region alone

    Reference: Fong et al. 2019, section 3.2 (the smallest area at which a threshold is reached).
    """
    check_hold(hold, objective)
    fills = as_fills(infill)
    check_count(levels=levels, refinements=refinements)
    if saliency.shape != image.shape[:2]:
        raise ValueError(f"saliency has shape {saliency.shape}, expected {image.shape[:2]}")
    allowed = jnp.ones(saliency.shape, bool) if available is None else available > 0.5
    order = jnp.where(allowed, saliency, -jnp.inf)
    falling = jnp.sort(order.ravel(), descending=True)
    total = allowed.sum()
    original = logits_of(classifier, image[None])[0]

    def chosen(count: Count) -> Bool[Array, "h w"]:
        """The superlevel set of at least so many pixels."""
        return (order >= falling[jnp.maximum(count, 1) - 1]) & allowed

    def seen(mask: Mask) -> Float[Array, "fills edges k"]:
        return filled_logits(key, classifier, image, mask, fills, edge)

    senses = senses_of(objective)

    def holds(count: Count) -> Bool[Array, ""]:
        own = chosen(count)
        masks = {"ssr": own.astype(image.dtype), "sdr": 1 - own.astype(image.dtype)}
        margins = [margin(seen(masks[sense]), target, original, hold, sense) for sense in senses]
        return (jnp.stack(margins).min() >= 0) & own.any()

    def look(bracket: tuple[Count, Count], share: Scalar):
        return _narrowed(bracket, share, total, holds), None

    areas = np.geomspace(1, LEAST, levels) if levels > 1 else np.ones(1)
    shares = jnp.asarray(np.append(areas, np.zeros(refinements)), image.dtype)
    (_, count), _ = jax.lax.scan(look, (0 * total, total + 1), shares)

    own = chosen(jnp.minimum(count, total))
    mask = own.astype(image.dtype)
    alone, without = (probability(logits, target) for logits in map(seen, (mask, 1 - mask)))
    finite = jnp.isfinite(saliency).all()
    held = finite & (count <= total) & _known(original, target, hold)
    return Region(
        mask=jnp.where(held, mask, jnp.nan),
        level=jnp.where(held, jnp.where(own, saliency, jnp.inf).min(), jnp.nan),
        area=jnp.where(held, mask.mean(), jnp.nan),
        probability=jnp.where(finite, alone, jnp.nan),
        without=jnp.where(finite, without, jnp.nan),
        original=probability(original, target),
    )


def _narrowed(
    bracket: tuple[Count, Count], share: Scalar, total: Count, holds: Any
) -> tuple[Count, Count]:
    """Return the bracket after one more set of pixels has been looked at.

    Args:
        bracket: the numbers of pixels of a set that does not hold (0: none) and of the smallest
            set found that holds (total + 1: none).
        share: of the pixels in the set to look at; these shares fall. 0 bisects the bracket.
        total: the number of available pixels.
        holds: tells whether the set of so many pixels holds.
    """
    low, high = bracket
    middle = jnp.ceil(jnp.sqrt(jnp.maximum(low, 1) * 1.0) * jnp.sqrt(high * 1.0))
    middle = jnp.clip(middle.astype(total.dtype), 1, jnp.maximum(high - 1, 1))
    count = jnp.where(share > 0, jnp.ceil(share * total).astype(total.dtype), middle)
    # A smaller set may hold where a larger one did not: then nothing below it is known yet.
    below = jnp.where(low < count, low, 0), count
    above = jnp.where(count < high, jnp.maximum(low, count), low), high
    held = holds(count)
    return jnp.where(held, below[0], above[0]), jnp.where(held, below[1], above[1])


def _known(original: Logits, target: Target, hold: Any) -> Bool[Array, ""]:
    """Whether the classifier sees the class in the picture: p above chance, or the first one."""
    known = probability(original, target) > 1 / original.shape[-1]
    if isinstance(hold, str):
        known &= margin(original, target, original, FIRST, "ssr") >= 0
    return known
