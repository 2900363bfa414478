"""The threshold of maps that have no scale of their own, found on pictures held out for it."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from fidojax.metrics.localisation import localisation
from fidojax.types import Scalar

ALPHAS = tuple(i / 5 for i in range(26))
"""FIDO's: 0 to 5 in steps of 0.2."""


class AlphaSearch(NamedTuple):
    """What `alpha_search` returns.

    Attributes:
        alpha: with the lowest error, the smallest of those that tie.
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
    """The alpha whose threshold, alpha times the mean of a map in [0, 1], has the least WSL error.

    All are tried in one compiled pass, in the memory of one. Pictures without a box and maps that
    are not finite have no say.

    Args:
        saliencies: maps of the pictures that are held out.
        boxes: their true ones, filled up with zeros, see `fidojax.core.boxes`.
        alphas: what is tried.
        empty, component: as `localisation` takes them.

    Raises:
        ValueError: an unknown name.

    Reference: FIDO section 4.4.
    """
    tried = jnp.asarray(alphas, jnp.float32)

    def error(alpha: Scalar) -> Scalar:
        def hit(saliency, own):
            return localisation(
                saliency, own, threshold=alpha, rule="mean", empty=empty, component=component
            ).hit

        return 1 - jnp.nanmean(jax.vmap(hit)(saliencies, boxes))

    errors = jax.lax.map(error, tried)
    return AlphaSearch(tried[errors.argmin()], errors)
