"""Pictures perturbed by degrees: from intact (mask 1) to blurred away or faded out (mask 0).

Reference: Fong et al. 2019, "Extremal Perturbations and Smooth Masks", section 3.3 and the
authors' code.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.core import gaussian_blur
from fidojax.types import Image, Mask

PERTURBATIONS = ("blur", "fade")

Pyramid = Float[Array, "levels h w c"]


def blur_pyramid(
    image: Image, perturbation: str, levels: int, sigma: float, color: Float[Array, "..."]
) -> Pyramid:
    """Return the picture at `levels` evenly spaced strengths, the strongest first, itself last.

    Args:
        perturbation: "blur", by Gaussians of sigma * (1 - t) for t from 0 to 1, or "fade", from
            `color` (t = 0) to the picture (t = 1).
        sigma: of the strongest blur, in pixels.
        color: where the picture ends and what it fades to, in [0, 1], a number or one per channel.
    """
    shares = np.arange(levels) / (levels - 1)
    if perturbation == "fade":
        return jnp.stack([color + float(t) * (image - color) for t in shares])
    blurred = [gaussian_blur(image - color, sigma * (1 - t), "zero") for t in shares[:-1]]
    return jnp.stack([color + each for each in (*blurred, image - color)])


def perturb(pyramid: Pyramid, mask: Mask) -> Image:
    """Return each pixel at the strength of its mask, linear between the two nearest levels.

    The gradient at a level is that of the interval above it, at mask 1 of the one below.
    """
    last = pyramid.shape[0] - 1
    at = mask * last
    below = jnp.clip(jnp.floor(at), 0, last - 1)  # no gradient: a floor
    share = at - below
    number = jnp.arange(last + 1, dtype=mask.dtype)[:, None, None]
    weights = jnp.where(number == below, 1 - share, jnp.where(number == below + 1, share, 0))
    return jnp.einsum("lhw,lhwc->hwc", weights, pyramid, precision="highest")
