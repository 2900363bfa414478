"""Realtime's masking network: a class selector and a U-Net decoder on a classifier's features."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.image import resize
from jaxtyping import Array, Float, Int

from fidojax.networks.layers import ConvNorm
from fidojax.types import Scalar

REALTIME_WIDTHS = (256, 128, 64)
"""Channels of the authors' decoder on a ResNet-50; its masks have a quarter of the sides."""


class RealtimeNetwork(nnx.Module):
    """Features of pictures, and a class -> the mask of the evidence for the class.

    The selector compares the coarsest features with a vector per class, and dims those places that
    speak against it. Each stage of the decoder doubles the sides and joins the classifier's next
    finer features. Of the last stage's two channels a and b the mask is |a| / (|a| + |b|).

    Args:
        classes: number of classes.
        channels: channels of the classifier's features, the coarsest first; one more than there
            are stages.
        widths: channels of the decoder's stages.
        ratio: the factor by which a stage's residual block reduces the channels.
        norm: True for training, with batch norm; False for the network that `fold` returns.

    Reference: Dabkowski & Gal 2017, section 4, as in the authors' code.
    """

    def __init__(
        self,
        classes: int,
        channels: Sequence[int],
        widths: Sequence[int] = REALTIME_WIDTHS,
        ratio: int = 4,
        *,
        norm: bool = True,
        rngs: Any,
    ) -> None:
        if len(channels) != len(widths) + 1:
            raise ValueError(
                f"channels and widths are {channels} and {widths}, expected one more of channels"
            )
        self.config = (classes, tuple(channels), tuple(widths), ratio)
        normal = nnx.initializers.normal(channels[0] ** -0.5)
        # A layer whose kernel has the vector of each class as a column.
        self.selector = nnx.Linear(
            channels[0], classes, use_bias=False, kernel_init=normal, rngs=rngs
        )
        sizes = zip((channels[0], *widths[:-1]), channels[1:], widths, strict=True)
        self.stages = nnx.List([Stage(*size, ratio, norm=norm, rngs=rngs) for size in sizes])
        self.mask = nnx.Conv(widths[-1], 2, (1, 1), rngs=rngs)

    def activation(
        self, targets: Int[Array, " n"], coarsest: Float[Array, "n rows columns channels"]
    ) -> Float[Array, "n rows columns"]:
        """Return the evidence for the class at each place of the coarsest features, signed."""
        vectors = self.selector.kernel[...][:, targets]
        return jnp.einsum("nijc,cn->nij", coarsest, vectors)

    def __call__(
        self,
        targets: Int[Array, " n"],
        confidence: float | Scalar,
        *features: Float[Array, "n _ _ _"],
        train: bool = False,
    ) -> tuple[Float[Array, "n rows columns"], Float[Array, "n rows2 columns2"]]:
        """Return the mask in [0, 1], at the sides of the finest features used, and `activation`.

        Args:
            targets: one class per picture.
            confidence: the value of `activation` at which half of a place's features pass.
            features: the coarsest first; levels finer than the last stage's are ignored.

        Raises:
            ValueError: the features have other channels than this network takes.
        """
        channels = self.config[1]
        given = tuple(level.shape[-1] for level in features)
        if given[: len(channels)] != channels:
            raise ValueError(
                f"features have {given} channels, coarsest first, but the masker is for {channels}:"
                " it belongs to another classifier"
            )
        activation = self.activation(targets, features[0])
        x = features[0] * nnx.sigmoid(activation - confidence)[..., None]
        for stage, skip in zip(self.stages, features[1 : len(channels)], strict=True):
            x = stage(x, skip, train)
        a, b = jnp.unstack(jnp.abs(self.mask(x)), axis=-1)
        # Where both are 0 the mask is 1/2.
        return (a + _TINY) / (a + b + 2 * _TINY), activation


_TINY = 1e-6


class Stage(nnx.Module):
    """Upsampling by sub-pixel convolution, joined with finer features, then a bottleneck block."""

    def __init__(
        self, c_in: int, c_skip: int, c_out: int, ratio: int, *, norm: bool, rngs: nnx.Rngs
    ) -> None:
        narrow, joined = max(1, c_out // ratio), c_out + c_skip
        self.up = ConvNorm(c_in, 4 * c_out, 3, 1, norm=norm, rngs=rngs)
        self.conv1 = ConvNorm(joined, narrow, 1, 1, norm=norm, rngs=rngs)
        self.conv2 = ConvNorm(narrow, narrow, 3, 1, norm=norm, rngs=rngs)
        self.conv3 = ConvNorm(narrow, c_out, 1, 1, norm=norm, rngs=rngs)
        self.shortcut = nnx.Conv(joined, c_out, (1, 1), rngs=rngs)

    def __call__(
        self, x: Float[Array, "n h w c"], skip: Float[Array, "n h2 w2 c2"], train: bool
    ) -> Float[Array, "n h2 w2 c3"]:
        x = shuffled(nnx.relu(self.up(x, train)))
        if x.shape[1:3] != skip.shape[1:3]:  # a convolution without padding, or an odd side
            x = resize(x, (*skip.shape[:3], x.shape[3]), "linear", antialias=False)
        x = jnp.concatenate([x, skip], axis=-1)
        y = nnx.relu(self.conv1(x, train))
        y = nnx.relu(self.conv2(y, train))
        return nnx.relu(self.shortcut(x) + self.conv3(y, train))


def shuffled(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
    """Rearrange each four channels into the 2 x 2 pixels of a map of twice the resolution."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, channels // 4)
