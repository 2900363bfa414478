"""The threshold of maps that have no scale of their own, found on held-out pictures."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from fidojax.core import bounding_box, check_boxes
from fidojax.metrics.localisation import best_overlap, choose
from fidojax.types import Scalar

ALPHAS = tuple(i / 5 for i in range(26))
"""FIDO's values: 0 to 5 in steps of 0.2."""


class AlphaSearch(NamedTuple):
    """The best alpha and the error of every alpha.

    Attributes:
        alpha: the alpha with the lowest error; the smallest of those that tie.
        errors: "a", the WSL error at each of the alphas, in [0, 1].
    """

    alpha: Scalar
    errors: Float[Array, " a"]


def alpha_search(
    saliencies: Float[Array, "n h w"],
    boxes: Num[Array, "n b 4"],
    *,
    alphas: Sequence[float] | Float[Array, " a"] = ALPHAS,
    empty: str = "image",
    component: str = "all",
) -> AlphaSearch:
    """The alpha whose threshold, alpha times the mean of a map in [0, 1], has the lowest WSL error.

    All alphas are tried in one compiled pass, in the memory of one. Pictures without a box and maps
    that are not finite do not count.

    Args:
        saliencies: maps of the held-out pictures.
        boxes: their true boxes, filled up with zeros, see `fidojax.core.boxes`.
        alphas: the values to try.
        empty, component: as in `localisation`.

    Raises:
        ValueError: an unknown name, or boxes are none.

    Example:
        from fidojax.metrics import alpha_search

        found = alpha_search(saliency[None], boxes[None], alphas=(0.5, 1.0, 1.5))
        threshold = found.alpha

    Reference: FIDO section 4.4.
    """
    check_boxes(boxes, saliencies.shape[1:])
    tried = jnp.asarray(alphas, jnp.float32)

    def error(alpha: Scalar) -> Scalar:
        def hit(saliency, own):
            on = choose(saliency, alpha, rule="mean")
            box = bounding_box(on, empty=empty, component=component)
            iou = best_overlap(saliency, box, own)
            return jnp.where(jnp.isnan(iou), jnp.nan, iou > 0.5)

        return 1 - jnp.nanmean(jax.vmap(hit)(saliencies, boxes))

    errors = jax.lax.map(error, tried)
    return AlphaSearch(tried[errors.argmin()], errors)
