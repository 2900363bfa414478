"""The masks of one step: relaxed samples of the keep probability."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import concrete, upsample
from fidojax.types import Image, Mask, PRNGKey, Scalar

NOISES = ("pixel", "map")


def draw_noise(
    key: PRNGKey, samples: int, image: Image, theta: Float[Array, "rows columns"], noise: str,
    antithetic: bool,
) -> Float[Array, "samples rows2 columns2"]:  # fmt: skip
    """Draw the standard logistic noise of every mask.

    Args:
        noise: "pixel", one value for each pixel of the image (the authors'), or "map", one for
            each value of the optimised map.
        antithetic: the second half of the masks mirrors the noise of the first.
    """
    shape = image.shape[:2] if noise == "pixel" else theta.shape
    if not antithetic:
        return jax.random.logistic(key, (samples, *shape), image.dtype)
    half = jax.random.logistic(key, (samples // 2, *shape), image.dtype)
    return jnp.concatenate([half, -half])


def relaxed_masks(
    theta: Float[Array, "rows columns"],
    noise: Float[Array, "samples rows2 columns2"],
    shape: tuple[int, ...],
    temperature: float | Scalar,
) -> tuple[Mask, Float[Array, "samples h w"]]:
    """Return the keep probability "h w" and its relaxed samples, differentiable in `theta`.

    Noise of the image's sides is added at every pixel; noise of the map's sides before upsampling.
    """
    keep = upsample(jax.nn.sigmoid(theta), shape)
    if noise.shape[1:] == tuple(shape):
        return keep, jax.vmap(lambda n: concrete(n, keep, temperature))(noise)
    coarse = jax.nn.sigmoid(theta)
    z = jax.vmap(lambda n: upsample(concrete(n, coarse, temperature), shape))(noise)
    return keep, z


def fill_numbers(samples: int, fills: int, antithetic: bool) -> list[int]:
    """The number of the infiller of every mask: in turn, and the next one for a mirrored mask."""
    half = samples // 2 if antithetic else samples
    return [(number % half + number // half) % fills for number in range(samples)]
