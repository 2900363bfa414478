"""How much a region is in pieces."""

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
