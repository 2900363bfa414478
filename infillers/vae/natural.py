"""FIDO's variational autoencoder for natural images, with its losses."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fidojax.networks import IMAGENET_MEAN, IMAGENET_STD, normalised
from fidojax.types import Images, PRNGKey
from infillers.vae.parts import Autoencoder, Conv, Latent, Layer, Up

CLOSEST = 6.0
"""The bound of a log-variance, at which the standard deviation, exp(-3), is three grey levels.
Without it the few pixels that are almost certain, as in black borders, dominate the gradient."""


class NaturalVAE(Autoencoder):
    """An autoencoder that sees the kept pixels and the mask and returns a Gaussian for each pixel.

    Eleven convolutions down to a quarter of each side, some of them dilated, then seven up, with
    batch norm after the ReLU. Pictures of any size are normalised inside. The defaults are the
    authors', who use 224 pixels: the latent is "56 56 256".

    Args:
        widths: channels at the full side, at half and at a quarter of it.
        latent: channels of the latent.
        dilations: dilations of the convolutions at a quarter of the side.
        variance: True for a mean and a variance for each pixel and colour; False for a mean only,
            by a sigmoid.
        norm: True for training, with batch norm; False for the network that `fold` returns.

    Reference: FIDO section 4.1, "VAE"; sizes as in the authors' code (`VAEWithVarImpantModelMean`,
    and without variance `VAEImpantModel`).
    """

    channels = 3

    def __init__(
        self,
        widths: tuple[int, int, int] = (64, 128, 256),
        latent: int = 256,
        dilations: Sequence[int] = (2, 4, 8, 16),
        variance: bool = True,
        *,
        norm: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        def layer(*sizes: int, **options: int) -> Layer:
            return Layer(Conv(*sizes, **options, rngs=rngs), norm=norm, rngs=rngs)

        def up(c_in: int, c_out: int) -> Layer:
            return Layer(Up(c_in, c_out, rngs=rngs), norm=norm, rngs=rngs)

        self.config = (widths, latent, tuple(dilations), variance)
        full, half, quarter = widths
        self.down = nnx.List(
            [
                layer(4, full, 5),
                layer(full, half, stride=2),
                layer(half, half),
                layer(half, quarter, stride=2),
                layer(quarter, quarter),
                layer(quarter, quarter),
                *(layer(quarter, quarter, dilation=d) for d in dilations),
            ]
        )
        self.latent = Conv(quarter, 2 * latent, rngs=rngs)
        self.up = nnx.List(
            [
                layer(latent, quarter),
                layer(quarter, quarter),
                up(quarter, half),
                layer(half, half),
                up(half, full),
                layer(full, full // 2),
            ]
        )
        self.pixels = Conv(full // 2, 6 if variance else 3, rngs=rngs)

    def encode(
        self, images: Float[Array, "n h w 3"], masks: Float[Array, "n h w"], *, train: bool = False
    ) -> Latent:
        """Return the distribution of the latent, "n h/4 w/4 latent", for pictures in [0, 1]."""
        return super().encode(normalised(images), masks, train=train)

    @staticmethod
    def picture(decoded: Float[Array, "n h w p"], key: PRNGKey | None = None) -> Images:
        """Return the decoder's mean, in [0, 1], or with a key a sample of the pixels' Gaussians.

        Raises:
            ValueError: a key is given to a decoder without variance.
        """
        if decoded.shape[-1] == 3:
            if key is not None:
                raise ValueError("sample needs a network with variance=True")
            return nnx.sigmoid(decoded)
        x, log_variance = _moments(decoded)
        if key is not None:
            x = x + jnp.exp(0.5 * log_variance) * jax.random.normal(key, x.shape, x.dtype)
        # The authors' clamp to the valid range has no effect (its result is dropped).
        return jnp.clip(x * jnp.asarray(IMAGENET_STD) + jnp.asarray(IMAGENET_MEAN), 0.0, 1.0)


def loss(
    decoded: Float[Array, "n h w p"], images: Float[Array, "n h w 3"], masks: Float[Array, "n h w"]
) -> Float[Array, " n"]:
    """Return the negative log-likelihood of each picture's dropped pixels, in nats, summed.

    1/2 (log variance + (x - mean)^2 / variance) of the normalised pixels, without the constant;
    (x - mean)^2 for a decoder without variance.
    """
    holes, x = 1.0 - masks[..., None], normalised(images)
    if decoded.shape[-1] == 3:
        return jnp.sum(holes * (x - normalised(nnx.sigmoid(decoded))) ** 2, (1, 2, 3))
    mean, log_variance = _moments(decoded)
    each = 0.5 * (log_variance + (x - mean) ** 2 * jnp.exp(-log_variance))
    return jnp.sum(holes * each, (1, 2, 3))


def _moments(decoded: Any) -> tuple[Any, Any]:
    mean, log_variance = jnp.split(decoded, 2, axis=-1)
    return mean, jnp.clip(log_variance, -CLOSEST, CLOSEST)
