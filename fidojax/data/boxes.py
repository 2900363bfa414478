"""Object boxes of several pictures as arrays of one shape."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from fidojax.data.picture import Picture


def padded(boxes: Sequence[np.ndarray | None]) -> Int[np.ndarray, "n b 4"]:
    """Of every picture as many as of the one with the most, filled up with boxes of no area."""
    most = max([1, *(len(own) for own in boxes if own is not None)])
    filled = np.zeros((len(boxes), most, 4), np.int32)
    for row, own in zip(filled, boxes, strict=True):
        if own is not None:
            row[: len(own)] = own
    return filled


def boxes_of(pictures: Sequence[Picture]) -> dict[str, Float[np.ndarray, "n b 4"]]:
    """Option `boxes` of the method `box`, for pictures of one size: as shares of the sides."""
    sides = np.array(pictures[0].image.shape[:2] * 2, np.float32)
    boxes = padded([picture.boxes for picture in pictures]) / sides
    return {"boxes": boxes.astype(np.float32)}
