"""Shifted pictures: brightness and motion blur at severities 1 to 5, as ImageNet-C defines them.

Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR 2019 (arXiv 1903.12261). The authors' constants; motion blur is that of
ImageMagick, which they call. Their pictures are JPEG files of quality 85; these are not compressed.
"""

from collections.abc import Sequence

import numpy as np
import skimage.color
from jaxtyping import Float

from fidojax.core import check_name

Picture = Float[np.ndarray, "h w c"]

CORRUPTIONS = ("brightness", "motion_blur")
BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Added to the value of hue, saturation and value, by severity."""
MOTION = {
    "imagenet": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    "tiny_imagenet": ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
}
"""Radius and sigma in pixels by severity, for pictures of 224 and of 64 pixels."""
ANGLE = 45.0
"""Half the range of the motion's angle in degrees, uniform about the horizontal."""


def corrupted(
    images: Float[np.ndarray, "n h w c"],
    corruption: str,
    severity: int,
    *,
    ids: Sequence[int] | None = None,
    seed: int = 0,
    scale: str = "tiny_imagenet",
) -> Float[np.ndarray, "n h w c"]:
    """Each picture corrupted; a picture's randomness depends on the seed and its id alone.

    So its angle is the same at all severities, which can be compared picture by picture.

    Args:
        images: values in [0, 1], grey or RGB.
        corruption: a name in `CORRUPTIONS`.
        severity: 1 to 5; 0 leaves the pictures as they are.
        ids: of the pictures; 0, 1, ... when None.
        scale: a key of `MOTION`: which size of pictures the constants are for.

    Raises:
        ValueError: an unknown name, or a severity beyond 0 to 5.
    """
    check_name("corruption", corruption, CORRUPTIONS)
    check_name("scale", scale, MOTION)
    if severity not in range(6):
        raise ValueError(f"severity is {severity}, expected 0 to 5")
    if severity == 0:
        return images
    if corruption == "brightness":
        return np.stack([brighter(image, BRIGHTNESS[severity - 1]) for image in images])
    radius, sigma = MOTION[scale][severity - 1]
    ids = range(len(images)) if ids is None else ids
    angles = [np.random.default_rng((seed, i)).uniform(-ANGLE, ANGLE) for i in ids]
    blurred = [
        motion_blur(image, radius, sigma, angle)
        for image, angle in zip(images, angles, strict=True)
    ]
    return np.stack(blurred)


def brighter(image: Picture, amount: float) -> Picture:
    """`amount` added to the value of each pixel, at most 1; hue and saturation stay."""
    if image.shape[-1] == 1:
        return np.clip(image + amount, 0, 1).astype(image.dtype)
    hsv = skimage.color.rgb2hsv(image)
    hsv[..., 2] = np.clip(hsv[..., 2] + amount, 0, 1)
    return np.clip(skimage.color.hsv2rgb(hsv), 0, 1).astype(image.dtype)


def motion_blur(image: Picture, radius: int, sigma: float, angle: float) -> Picture:
    """The mean along a line that starts at the pixel, with the weights of half a Gaussian.

    The line has 2 radius + 1 pixels, rounded to the grid; beyond the border stands its nearest
    pixel.

    Args:
        sigma: of the Gaussian, in pixels.
        angle: of the line, in degrees, clockwise from the right.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    turn = np.deg2rad(angle)
    down, right = (np.ceil(steps * part - 0.5).astype(int) for part in (np.sin(turn), np.cos(turn)))
    height, width = image.shape[:2]
    blurred = np.zeros(image.shape)
    for weight, dy, dx in zip(weights, down, right, strict=True):
        rows = np.clip(np.arange(height) + dy, 0, height - 1)
        columns = np.clip(np.arange(width) + dx, 0, width - 1)
        blurred += weight * image[rows][:, columns]
    return blurred.astype(image.dtype)
