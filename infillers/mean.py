"""Infill with one colour: FIDO's "Mean", and the black background of MNIST."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import Bound
from fidojax.networks import IMAGENET_MEAN
from fidojax.types import Image, Infiller, Mask, PRNGKey
from infillers.channels import check_channels


def mean(color: float | tuple[float, ...] | None = None) -> Infiller:
    """Return an infiller with one colour, which depends on neither image nor mask.

    Args:
        color: in [0, 1], one number or one per channel; when None, ImageNet's mean, averaged over
            the channels for a grey picture. `mean(0.0)` is MNIST's background.

    Reference: FIDO section 4.1, "Mean"; VDSM section 4.2.

    Example:
        >>> import jax, infillers
        >>> image = jax.random.uniform(jax.random.key(0), (32, 32, 3))
        >>> mask = jax.random.bernoulli(jax.random.key(1), 0.5, (32, 32)).astype(float)
        >>> infill = infillers.mean(0.0)
        >>> infill(jax.random.key(2), image, mask).shape
        (32, 32, 3)
    """
    return Bound(_mean, jnp.asarray(IMAGENET_MEAN if color is None else color, jnp.float32))


def _mean(color: Float[Array, "..."], key: PRNGKey, image: Image, mask: Mask) -> Image:
    del key, mask
    return jnp.broadcast_to(in_channels(color, image), image.shape)


def in_channels(color: Float[Array, "..."], image: Image) -> Float[Array, "..."]:
    """Return the colour in the image's number type and channels, averaged for a grey image.

    Raises:
        ValueError: an image that is not grey has other channels than the colour.
    """
    if color.ndim:
        instead = "give `color`, one number or one per channel (ImageNet's mean has 3)"
        check_channels(image, color.size, "the infiller's color", instead)
        if image.shape[-1] == 1:
            color = color.mean(keepdims=True)
    return color.astype(image.dtype)
