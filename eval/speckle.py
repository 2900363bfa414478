"""How much a region is in pieces, and how far they lie apart."""

from typing import Any

import numpy as np
from scipy import ndimage


def speckle(masks: np.ndarray) -> dict[str, np.ndarray]:
    """The pieces of each region and the length of its border; NaN where a region is empty.

    Columns: `components`, the sets of pixels that are connected by their sides;
    `total_variation`, the sum of the absolute differences of all neighbours, down and across, which
    is the number of pixel sides between the region and the rest.

    Args:
        masks: "n h w", 1 in the region, 0 outside.
    """
    there = masks.any(axis=(1, 2))
    label: Any = ndimage.label  # its declared type has no tuple
    pieces = [label(mask)[1] for mask in masks]
    down, across = (np.abs(np.diff(masks.astype(float), axis=axis)).sum((1, 2)) for axis in (1, 2))
    return {
        "components": np.where(there, pieces, np.nan),
        "total_variation": np.where(there, down + across, np.nan),
    }


def spread(masks: np.ndarray) -> np.ndarray:
    """ "n", how far a region's pixels lie from their centre; NaN where a region is empty.

    The root of the mean squared distance, as a share of the picture's diagonal: a disc of radius r
    has r / sqrt(2).

    Args:
        masks: "n h w", 1 in the region, 0 outside.
    """
    found = np.full(len(masks), np.nan)
    for i, mask in enumerate(masks):
        places = np.argwhere(mask)
        if len(places):
            found[i] = np.sqrt(places.var(axis=0).sum()) / np.hypot(*mask.shape)
    return found
