"""Resize and crop pictures, and their object boxes, to the classifier's size."""

from typing import NamedTuple

import numpy as np
import PIL.Image
from jaxtyping import Float, Int, Real

IMAGENET_CROP = 224 / 256
"""The centre crop of ImageNet classifiers: shorter side to 256, then 224 (also in FIDO)."""

LONG = 16
"""The ratio of the sides above which only the middle of a picture is resized."""


class Placement(NamedTuple):
    """The position of a picture's pixels in the fitted image.

    Attributes:
        scale: rows and columns of the resized picture per row and column of the original.
        offset: rows and columns that the crop cut off at the top and at the left.
        size: rows and columns of the result.
    """

    scale: tuple[float, float]
    offset: tuple[int, int]
    size: tuple[int, int]


def fit(
    picture: PIL.Image.Image, size: tuple[int, int, int], crop: float = 1.0
) -> tuple[Float[np.ndarray, "h w c"], Placement]:
    """Resize a picture (mode "RGB", "L" or "F") to the classifier's size, keeping its proportions.

    The picture is resized (bilinear, antialiased) until `size / crop` just fits into it, and the
    middle is cut out. For a square size that is: shorter side to `size / crop`, centre crop.

    Args:
        size: height, width and channels (1 or 3) that the classifier takes. Colour becomes grey by
            ITU-R 601 luma, grey becomes three equal channels.
        crop: share of the shorter side that is kept, in (0, 1]; see `IMAGENET_CROP`.

    Returns:
        The image, "h w c" float32 in [0, 1], and the placement of its pixels.
    """
    height, width, channels = size
    if channels == 1 and picture.mode == "RGB":
        picture = picture.convert("L")
    rows, cols = height / crop, width / crop
    if rows * picture.width >= cols * picture.height:  # the height is the tighter side
        new_height = round(rows)
        new_width = max(int(new_height * picture.width / picture.height), width)
    else:
        new_width = round(cols)
        new_height = max(int(new_width * picture.height / picture.width), height)
    top, left = round((new_height - height) / 2), round((new_width - width) / 2)
    place = (left, top, left + width, top + height)
    cut = np.asarray(_resized_part(picture, (new_width, new_height), place))
    image = cut.astype(np.float32) if picture.mode == "F" else cut.astype(np.float32) / 255
    if image.ndim == 2:
        image = np.repeat(image[..., None], channels, axis=2)
    scale = (new_height / picture.height, new_width / picture.width)
    return np.clip(image, 0, 1), Placement(scale, (top, left), (height, width))


def _resized_part(
    picture: PIL.Image.Image, new: tuple[int, int], place: tuple[int, int, int, int]
) -> PIL.Image.Image:
    """Resize a picture to `new` (width, height), and cut out `place` (left, top, right, bottom).

    Of a very long picture only the part around `place` is resized, since the whole would take GB
    for one of 8 x 20,000,000 pixels. The values agree to the rounding of the filter's weights.
    """
    if max(new) <= LONG * min(new):
        return picture.resize(new, PIL.Image.Resampling.BILINEAR).crop(place)
    scale = np.array([picture.width / new[0], picture.height / new[1]])
    corners = np.array(place).reshape(2, 2) * scale
    reach = 2 * np.maximum(scale, 1)  # of the filter, in pixels
    first = np.maximum(np.floor(corners[0] - reach), 0).astype(int)
    last = np.minimum(np.ceil(corners[1] + reach), picture.size).astype(int)
    part = picture.crop((*first.tolist(), *last.tolist()))
    box = np.clip(corners - first, 0, part.size).ravel().tolist()
    size = (place[2] - place[0], place[3] - place[1])
    return part.resize(size, PIL.Image.Resampling.BILINEAR, box=tuple(box))


def place_boxes(boxes: Real[np.ndarray, "b 4"], placement: Placement) -> Int[np.ndarray, "k 4"]:
    """Map boxes (top, left, bottom, right) from pixels of the original to the fitted image.

    Corners are rounded and clipped to the image; boxes without a pixel in it are dropped. Boxes are
    half-open: `image[top:bottom, left:right]` is the object.
    """
    corners = np.round(boxes * np.tile(placement.scale, 2) - np.tile(placement.offset, 2))
    corners = np.clip(corners, 0, np.tile(placement.size, 2)).astype(np.int32)
    kept = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
    return corners[kept]
