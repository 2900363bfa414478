"""One colour everywhere: FIDO's "Mean"; black background is its MNIST case."""

import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float

from fidojax.networks import IMAGENET_MEAN
from fidojax.types import Image, Infiller, Mask, PRNGKey


def mean(color: float | tuple[float, ...] | None = None) -> Infiller:
    """Infill with one colour, whatever the image or the mask.

    Args:
        color: in [0, 1], one number or one per channel; when None, ImageNet's mean, for a grey
            picture its mean over channels. `mean(0.0)` is MNIST's background.

    Reference: FIDO section 4.1, "Mean"; VDSM section 4.2.
    """
    return Partial(_mean, jnp.asarray(IMAGENET_MEAN if color is None else color, jnp.float32))


def _mean(color: Float[Array, "..."], key: PRNGKey, image: Image, mask: Mask) -> Image:
    del key, mask
    return jnp.broadcast_to(in_channels(color, image), image.shape)


def in_channels(color: Float[Array, "..."], image: Image) -> Float[Array, "..."]:
    """The colour in the image's number type and channels: averaged for a grey image."""
    if color.ndim and image.shape[-1] == 1:
        color = color.mean(keepdims=True)
    return color.astype(image.dtype)
