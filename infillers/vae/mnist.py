"""VDSM's variational autoencoder for MNIST, with its loss."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float

from fidojax.core import check_name
from fidojax.types import Images, PRNGKey
from infillers.vae.parts import Autoencoder, Conv, Layer, Up

LOSSES = ("authors", "paper")


class MnistVAE(Autoencoder):
    """An autoencoder that sees the kept pixels and the mask and returns logits of ink.

    Three convolutions down to a quarter of each side, then three up, with batch norm after the
    ReLU. The defaults are the authors': 3,713 parameters.

    Args:
        width: channels of the hidden layers.
        latent: channels of the latent.
        norm: True for training, with batch norm; False for the network that `fold` returns.

    Reference: VDSM section 4.3; sizes as in the authors' code.
    """

    channels = 1

    def __init__(
        self, width: int = 8, latent: int = 8, *, norm: bool = True, rngs: nnx.Rngs
    ) -> None:
        self.config = (width, latent)
        self.down = nnx.List(
            [
                Layer(Conv(2, width, stride=2, rngs=rngs), norm=norm, rngs=rngs),
                Layer(Conv(width, width, stride=2, rngs=rngs), norm=norm, rngs=rngs),
            ]
        )
        self.latent = Conv(width, 2 * latent, dilation=2, rngs=rngs)
        self.up = nnx.List(
            [
                Layer(Conv(latent, width, rngs=rngs), norm=norm, rngs=rngs),
                Layer(Up(width, width, rngs=rngs), norm=norm, rngs=rngs),
            ]
        )
        self.pixels = Up(width, 1, rngs=rngs)

    @staticmethod
    def picture(logits: Float[Array, "n h w 1"], key: PRNGKey | None = None) -> Images:
        """Return the decoder's mean, in [0, 1], or with a key a sample in black and white."""
        ink = nnx.sigmoid(logits)
        return ink if key is None else jax.random.bernoulli(key, ink).astype(ink.dtype)


def loss(
    logits: Float[Array, "n h w 1"],
    images: Float[Array, "n h w 1"],
    masks: Float[Array, "n h w"],
    which: str = "authors",
) -> Float[Array, " n"]:
    """Return the binary cross-entropy of each picture, in nats, summed over pixels.

    Args:
        which: "authors" for all pixels, as in the authors' code, or "paper" for the dropped ones.

    Raises:
        ValueError: `which` is neither.
    """
    check_name("which", which, LOSSES)
    each = optax.sigmoid_binary_cross_entropy(logits, images)[..., 0]
    return jnp.sum(each if which == "authors" else (1.0 - masks) * each, (1, 2))
