"""The two objectives of Dabkowski & Gal as values to minimise, shared by FIDO, VDSM and BBMP.

The papers' L1 terms have their signs swapped against their own convention (z = 1 keeps); these
follow the authors' code (docs/deviations.md). All sums are over the pixels of the full-size mask.
"""

from collections.abc import Callable

from fidojax.core.masks import total_variation
from fidojax.types import Mask, Scalar

Weight = float | Scalar

Objective = Callable[..., Scalar]
"""`objective(score, keep, lam, tv, warmup) -> the value to minimise`."""


def ssr(score: Scalar, keep: Mask, lam: Weight, tv: Weight, warmup: Weight = 1.0) -> Scalar:
    """Return the objective of the smallest region that supports the class.

    Args:
        score: mean score of the class over the sampled counterfactuals.
        keep: "h w", keep probability (FIDO) or soft mask (BBMP) in [0, 1]; its sum is the exact
            expectation of the sampled mask's L1 norm.
        lam: weight of the area, per pixel.
        tv: weight of the total variation.
        warmup: factor of both regularisers, in [0, 1].
    """
    smoothness = tv * total_variation(keep)
    return -score + warmup * (lam * keep.sum() + smoothness)  # FIDO eq. 5, VDSM eq. 5


def sdr(score: Scalar, keep: Mask, lam: Weight, tv: Weight, warmup: Weight = 1.0) -> Scalar:
    """Return the objective of the smallest region whose deletion destroys the class.

    The arguments are those of `ssr`; the area is that of the dropped pixels.
    """
    smoothness = tv * total_variation(keep)
    return score + warmup * (lam * (1 - keep).sum() + smoothness)  # FIDO eq. 4, VDSM eq. 6


OBJECTIVES: dict[str, Objective] = {"ssr": ssr, "sdr": sdr}
"""The objectives by name."""


def saliency_of(objective: str, keep: Mask) -> Mask:
    """Return the map of an optimised mask: kept pixels for "ssr", dropped pixels for "sdr".

    It is its own inverse, so it also returns the mask of a map.
    """
    return keep if objective == "ssr" else 1 - keep
