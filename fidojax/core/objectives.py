"""The two questions of Dabkowski & Gal as values to minimise, shared by FIDO, VDSM and BBMP.

The papers' L1 terms have their signs swapped against their own convention (z = 1 keeps); these
follow the authors' code (docs/deviations.md). All sums are over the pixels of the full-size mask.
"""

from fidojax.core.masks import total_variation
from fidojax.types import Mask, Scalar

OBJECTIVES = ("ssr", "sdr")

Weight = float | Scalar


def minimised(
    objective: str, score: Scalar, keep: Mask, lam: Weight, tv: Weight, warmup: Weight = 1.0
) -> Scalar:
    """The value that a method minimises.

    Args:
        objective: "ssr", the smallest region that supports the class, or "sdr", the smallest region
            whose deletion destroys it.
        score: mean score of the class over the sampled counterfactuals.
        keep: "h w", keep probability (FIDO) or soft mask (BBMP); its sum is the exact expectation
            of the sampled mask's L1 norm.
        lam: weight of the area, per pixel.
        tv: weight of the total variation.
        warmup: factor of both regularisers, in [0, 1].
    """
    smoothness = tv * total_variation(keep)
    if objective == "ssr":
        return -score + warmup * (lam * keep.sum() + smoothness)  # FIDO eq. 5, VDSM eq. 5
    return score + warmup * (lam * (1 - keep).sum() + smoothness)  # FIDO eq. 4, VDSM eq. 6


def saliency(objective: str, keep: Mask) -> Mask:
    """The map of an optimised mask: what is kept supports (SSR), what is dropped destroys (SDR)."""
    return keep if objective == "ssr" else 1 - keep
