"""Object boxes of several pictures in one array."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from fidojax.data.picture import Picture


def padded(boxes: Sequence[np.ndarray | None]) -> Int[np.ndarray, "n b 4"]:
    """Pad the boxes of every picture to the largest number of boxes, with boxes of no area."""
    most = max([1, *(len(own) for own in boxes if own is not None)])
    filled = np.zeros((len(boxes), most, 4), np.int32)
    for row, own in zip(filled, boxes, strict=True):
        if own is not None:
            row[: len(own)] = own
    return filled


def boxes_of(pictures: Sequence[Picture]) -> dict[str, Int[np.ndarray, "n b 4"]]:
    """Return the option `boxes` of the method `object_box`, in pixels."""
    return {"boxes": padded([picture.boxes for picture in pictures])}
