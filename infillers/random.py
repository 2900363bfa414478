"""Infill with a random colour and noise: FIDO's "Random"."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import Bound
from fidojax.types import Image, Infiller, Mask, PRNGKey


def random(sigma: float = 0.2) -> Infiller:
    """Return an infiller with a uniform random colour plus Gaussian noise, clipped to [0, 1].

    The colour is drawn anew at every call, the noise for each pixel and channel. This follows the
    authors' code; the paper says "independent per-pixel".

    Args:
        sigma: standard deviation of the noise, in units of the pixel range [0, 1].

    Reference: FIDO section 4.1, "Random".

    Example:
        >>> import jax, infillers
        >>> image = jax.random.uniform(jax.random.key(0), (32, 32, 3))
        >>> mask = jax.random.bernoulli(jax.random.key(1), 0.5, (32, 32)).astype(float)
        >>> infill = infillers.random(sigma=0.1)
        >>> infill(jax.random.key(2), image, mask).shape
        (32, 32, 3)
    """
    return Bound(_random, jnp.asarray(sigma, jnp.float32))


def _random(sigma: Float[Array, ""], key: PRNGKey, image: Image, mask: Mask) -> Image:
    del mask
    color_key, noise_key = jax.random.split(key)
    color = jax.random.uniform(color_key, image.shape[-1:], image.dtype)
    noise = sigma.astype(image.dtype) * jax.random.normal(noise_key, image.shape, image.dtype)
    return jnp.clip(color + noise, 0.0, 1.0)
