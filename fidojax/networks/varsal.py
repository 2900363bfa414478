"""The network of VarSal's encoder: convolutions at full size, and a Gaussian for each pixel."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fidojax.networks.classifiers import IMAGENET_MEAN, IMAGENET_STD, ConvNorm
from fidojax.types import Images

WIDTHS = (64,) * 4 + (32,) * 5 + (16,) * 6
"""The paper's channels, for ImageNet at 224 pixels; 184,032 weights with three colours."""


class VarSalNetwork(nnx.Module):
    """Images "n h w c" in [0, 1] -> mean and log-variance of the map's pixels, each "n h w".

    3 x 3 convolutions of stride 1 on pictures padded by 1, with batch norm and relu, no pooling.
    The last one is linear: with batch norm and relu, as the paper has it for every layer, no mean
    would be negative and no variance below 1. Colours are normalised by ImageNet's inside.

    Args:
        channels: of the pictures, 1 or 3.
        widths: channels of each layer but the last, which has two.
        norm: with batch norm, to train; without, the network that `fold` makes of it.

    Reference: VarSal appendix C.
    """

    def __init__(
        self, channels: int = 3, widths: Sequence[int] = WIDTHS, *, norm: bool = True, rngs: Any
    ) -> None:
        self.config = (channels, tuple(widths))
        sizes = zip((channels, *widths[:-1]), widths, strict=True)
        self.hidden = nnx.List([ConvNorm(*size, 3, 1, norm=norm, rngs=rngs) for size in sizes])
        self.posterior = nnx.Conv(widths[-1], 2, (3, 3), rngs=rngs)

    def __call__(
        self, images: Images, *, train: bool = False
    ) -> tuple[Float[Array, "n h w"], Float[Array, "n h w"]]:
        x: Any = images
        if self.config[0] == 3:
            x = (x - jnp.asarray(IMAGENET_MEAN)) / jnp.asarray(IMAGENET_STD)
        for layer in self.hidden:
            x = nnx.relu(layer(x, train))
        mean, log_variance = jnp.unstack(self.posterior(x), axis=-1)
        return mean, log_variance
