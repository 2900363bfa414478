"""A random colour with pixel noise: FIDO's "Random"."""

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float

from fidojax.types import Image, Infiller, Mask, PRNGKey


def random(sigma: float = 0.2) -> Infiller:
    """Infill with one uniform colour plus Gaussian noise per pixel and channel, clipped to [0, 1].

    Redrawn at every call. The paper's words ("independent per-pixel") differ; this is the authors'
    code.

    Args:
        sigma: standard deviation of the noise, in units of the pixel range [0, 1].

    Reference: FIDO section 4.1, "Random".
    """
    return Partial(_random, jnp.asarray(sigma, jnp.float32))


def _random(sigma: Float[Array, ""], key: PRNGKey, image: Image, mask: Mask) -> Image:
    del mask
    color_key, noise_key = jax.random.split(key)
    color = jax.random.uniform(color_key, image.shape[-1:], image.dtype)
    noise = sigma.astype(image.dtype) * jax.random.normal(noise_key, image.shape, image.dtype)
    return jnp.clip(color + noise, 0.0, 1.0)
