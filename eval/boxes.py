"""The boxes of data sets, as the metrics take them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from fidojax.metrics.localisation import out_of_box


def padded(boxes: Sequence[np.ndarray | None]) -> Int[np.ndarray, "n b 4"]:
    """Of every picture as many as of the one with the most, filled up with boxes of no area."""
    most = max([1, *(len(own) for own in boxes if own is not None)])
    filled = np.zeros((len(boxes), most, 4), np.int32)
    for row, own in zip(filled, boxes, strict=True):
        if own is not None:
            row[: len(own)] = own
    return filled


def outside(on: Bool[np.ndarray, "h w"], boxes: np.ndarray | None) -> float:
    """Share of the chosen pixels outside the union of the boxes; NaN without boxes or pixels.

    Args:
        boxes: "b 4", half-open (top, left, bottom, right) in pixels.

    Reference: FIDO section 4.4, Figure 8.
    """
    return float(_out_of_box(jnp.asarray(on), jnp.asarray(padded([boxes])[0])))


_out_of_box = jax.jit(out_of_box)
