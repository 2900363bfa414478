"""The network of VarSal's encoder: convolutions at full size, and a Gaussian for each pixel."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fidojax.networks.layers import ConvNorm
from fidojax.networks.preprocessing import normalised
from fidojax.types import Images

VARSAL_WIDTHS = (64,) * 4 + (32,) * 5 + (16,) * 6
"""The channels of the paper's layers, for ImageNet at 224 pixels: 184,032 weights for RGB."""


class VarSalNetwork(nnx.Module):
    """Images "n h w c" in [0, 1] -> mean and log-variance of the map's pixels, each "n h w".

    3 x 3 convolutions of stride 1 on pictures padded by 1, with batch norm and ReLU, no pooling.
    The last one is linear: with batch norm and ReLU, which the paper has after every layer, no mean
    would be negative and no variance below 1. RGB pictures are normalised by ImageNet's mean and
    standard deviation inside.

    Args:
        channels: channels of the pictures, 1 or 3.
        widths: channels of each layer except the last one, which has two.
        norm: True for training, with batch norm; False for the network that `fold` returns.

    Reference: VarSal appendix C.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = VARSAL_WIDTHS,
        *,
        norm: bool = True,
        rngs: Any,
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
            x = normalised(x)
        for layer in self.hidden:
            x = nnx.relu(layer(x, train))
        mean, log_variance = jnp.unstack(self.posterior(x), axis=-1)
        return mean, log_variance
