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
    """Sees the kept pixels and the mask, and answers with the whole picture as logits of ink.

    Three convolutions down to a quarter of each side, three up, batch norm after the relu. The
    defaults are the authors': 3,713 parameters.

    Args:
        width: channels of the hidden layers.
        latent: channels of the latent.
        norm: with batch norm, to train; without, the network that `fold` makes of it.

    Reference: VDSM section 4.3; sizes as in the authors' code.
    """

    channels = 1

    def __init__(
        self, width: int = 8, latent: int = 8, *, norm: bool = True, rngs: nnx.Rngs
    ) -> None:
        self.config = (width, latent)
        self.down = nnx.List([
            Layer(Conv(2, width, stride=2, rngs=rngs), norm=norm, rngs=rngs),
            Layer(Conv(width, width, stride=2, rngs=rngs), norm=norm, rngs=rngs),
        ])  # fmt: skip
        self.latent = Conv(width, 2 * latent, dilation=2, rngs=rngs)
        self.up = nnx.List([
            Layer(Conv(latent, width, rngs=rngs), norm=norm, rngs=rngs),
            Layer(Up(width, width, rngs=rngs), norm=norm, rngs=rngs),
        ])  # fmt: skip
        self.pixels = Up(width, 1, rngs=rngs)

    @staticmethod
    def picture(logits: Float[Array, "n h w 1"], key: PRNGKey | None = None) -> Images:
        """The decoder's mean, in [0, 1]; with a key a sample, black and white."""
        ink = nnx.sigmoid(logits)
        return ink if key is None else jax.random.bernoulli(key, ink).astype(ink.dtype)


def loss(
    logits: Float[Array, "n h w 1"],
    images: Float[Array, "n h w 1"],
    masks: Float[Array, "n h w"],
    which: str = "authors",
) -> Float[Array, " n"]:
    """The binary cross-entropy of each picture in nats, summed over pixels.

    Args:
        which: "authors", over all pixels as in their code, or "paper", over the dropped ones.

    Raises:
        ValueError: `which` is neither.
    """
    check_name("which", which, LOSSES)
    each = optax.sigmoid_binary_cross_entropy(logits, images)[..., 0]
    return jnp.sum(each if which == "authors" else (1.0 - masks) * each, (1, 2))
