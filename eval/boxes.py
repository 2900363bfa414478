"""Maps and object boxes."""

import numpy as np
from jaxtyping import Bool


def outside(on: Bool[np.ndarray, "h w"], boxes: np.ndarray | None) -> float:
    """Share of the chosen pixels outside the union of the boxes; NaN without boxes or pixels.

    Args:
        boxes: "b 4", half-open (top, left, bottom, right) in pixels.

    Reference: FIDO section 4.4, Figure 8.
    """
    if boxes is None or not on.any():
        return float("nan")
    inside = np.zeros_like(on)
    for top, left, bottom, right in boxes:
        inside[top:bottom, left:right] = True
    return float((on & ~inside).sum() / on.sum())
