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
"""Beyond this a log-variance counts no more: exp(-3) of the pixels' spread is three grey levels.
Else the few pixels that are all but certain, as in black borders, would decide the gradient."""


class NaturalVAE(Autoencoder):
    """Sees the kept pixels and the mask, and answers with a Gaussian for each pixel.

    Eleven convolutions down to a quarter of each side, the dilated ones to see far, seven up; batch
    norm after the relu. The pictures are normalised inside. The defaults are the authors', for any
    size, theirs 224: the latent is "56 56 256".

    Args:
        widths: channels at the full side, at a half and at a quarter of it.
        latent: channels of the latent.
        dilations: of the convolutions at a quarter of the side.
        variance: with a variance for each pixel and colour; without, the mean only, by a sigmoid.
        norm: with batch norm, to train; without, the network that `fold` makes of it.

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
        self.down = nnx.List([
            layer(4, full, 5),
            layer(full, half, stride=2),
            layer(half, half),
            layer(half, quarter, stride=2),
            layer(quarter, quarter),
            layer(quarter, quarter),
            *(layer(quarter, quarter, dilation=d) for d in dilations),
        ])  # fmt: skip
        self.latent = Conv(quarter, 2 * latent, rngs=rngs)
        self.up = nnx.List([
            layer(latent, quarter),
            layer(quarter, quarter),
            up(quarter, half),
            layer(half, half),
            up(half, full),
            layer(full, full // 2),
        ])  # fmt: skip
        self.pixels = Conv(full // 2, 6 if variance else 3, rngs=rngs)

    def encode(
        self, images: Float[Array, "n h w 3"], masks: Float[Array, "n h w"], *, train: bool = False
    ) -> Latent:
        """Pictures in [0, 1] and masks -> the latent's distribution, "n h/4 w/4 latent"."""
        return super().encode(normalised(images), masks, train=train)

    @staticmethod
    def picture(decoded: Float[Array, "n h w p"], key: PRNGKey | None = None) -> Images:
        """The decoder's mean, in [0, 1]; with a key a sample of the pixels' Gaussians.

        Raises:
            ValueError: a sample is asked of a decoder without variance.
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
    """What the decoder's Gaussians lose on the dropped pixels of each picture, summed, in nats.

    1/2 (log variance + (x - mean)^2 / variance) of the normalised pixels, without the constant;
    for a decoder without variance (x - mean)^2.
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
