"""Pictures perturbed by degrees: from intact (mask 1) to blurred away or faded out (mask 0).

Reference: Fong et al. 2019, "Extremal Perturbations and Smooth Masks", section 3.3 and the
authors' code.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.types import Image, Mask

PERTURBATIONS = ("blur", "fade")

Pyramid = Float[Array, "levels h w c"]


def blur_pyramid(
    image: Image, perturbation: str, levels: int, sigma: float, color: Float[Array, "..."]
) -> Pyramid:
    """The picture at `levels` evenly spaced strengths, the strongest first, itself last.

    Args:
        perturbation: "blur", by Gaussians of sigma * (1 - t) for t from 0 to 1, or "fade", from
            `color` (t = 0) to the picture (t = 1).
        sigma: of the strongest blur, in pixels.
        color: where the picture ends and what it fades to, in [0, 1], a number or one per channel.
    """
    shares = np.arange(levels) / (levels - 1)
    if perturbation == "fade":
        return jnp.stack([color + float(t) * (image - color) for t in shares])
    return jnp.stack([color + _blur(image - color, sigma * (1 - t)) for t in shares])


def perturb(pyramid: Pyramid, mask: Mask) -> Image:
    """Each pixel at the strength of its mask, linear between the two nearest levels.

    The gradient at a level is that of the interval above it, at mask 1 of the one below.
    """
    last = pyramid.shape[0] - 1
    at = mask * last
    below = jnp.clip(jnp.floor(at), 0, last - 1)  # no gradient: a floor
    share = at - below
    number = jnp.arange(last + 1, dtype=mask.dtype)[:, None, None]
    weights = jnp.where(number == below, 1 - share, jnp.where(number == below + 1, share, 0))
    return jnp.einsum("lhw,lhwc->hwc", weights, pyramid, precision="highest")


def _blur(image: Image, sigma: float) -> Image:
    """Gaussian blur that reaches ceil(4 sigma), has unit sum, and meets zeros at the border."""
    if sigma == 0:
        return image
    rows, columns = (jnp.asarray(_gaussian(n, sigma), image.dtype) for n in image.shape[:2])
    return jnp.einsum("ia,jb,abc->ijc", rows, columns, image, precision="highest")


def _gaussian(size: int, sigma: float) -> np.ndarray:
    half = math.ceil(4 * sigma)
    taps = np.arange(-half, half + 1)
    total = np.exp(-(taps**2) / (2 * sigma**2)).sum()
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    return np.where(abs(distance) <= half, np.exp(-(distance**2) / (2 * sigma**2)), 0) / total
