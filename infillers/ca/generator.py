"""The generator of DeepFill v1: a coarse network, then one with contextual attention.

Yu et al., "Generative Image Inpainting with Contextual Attention", CVPR 2018 (arXiv 1801.07892),
section 4, with the layers of its authors' code (v1.0.0).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fidojax.core import check_count, check_name
from infillers.ca.attention import KEYS, contextual_attention, known_keys


class Layer(NamedTuple):
    """The options of one convolution; `channels` are in units of the network's width."""

    channels: float
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    up: bool = False
    """Whether its input is enlarged twice, by nearest pixels."""
    relu: bool = False
    """Whether ReLU follows instead of ELU."""


def encoder(second: float, third: float) -> tuple[Layer, ...]:
    """Return the first six layers; the branches differ in the second and the fourth."""
    return (
        Layer(1, kernel=5),
        Layer(second, stride=2),
        Layer(2),
        Layer(third, stride=2),
        Layer(4),
        Layer(4),
    )


DECODER = (Layer(4), Layer(4), Layer(2, up=True), Layer(2), Layer(1, up=True), Layer(0.5))
"""The last layers except the one that draws the picture."""


class Stack(nnx.Module):
    """A sequence of convolutions, "n h w c" -> "n h2 w2 c2"."""

    def __init__(self, c_in: int, layers: tuple[Layer, ...], width: int, *, rngs: nnx.Rngs):
        self.layers = layers
        convs = []
        for layer in layers:
            c_out = round(layer.channels * width)
            convs.append(_conv(c_in, c_out, layer, rngs))
            c_in = c_out
        self.convs = nnx.List(convs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        for layer, conv in zip(self.layers, self.convs, strict=True):
            # Enlarging twice with aligned corners repeats each pixel, too.
            x = x.repeat(2, axis=1).repeat(2, axis=2) if layer.up else x
            x = nnx.relu(conv(x)) if layer.relu else nnx.elu(conv(x))
        return x


class Painter(nnx.Module):
    """A stack that ends in a picture, clipped to [-1, 1]."""

    def __init__(self, c_in: int, layers: tuple[Layer, ...], width: int, *, rngs: nnx.Rngs):
        self.stack = Stack(c_in, layers, width, rngs=rngs)
        self.out = _conv(round(layers[-1].channels * width), 3, Layer(0), rngs)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 3"]:
        return jnp.clip(self.out(self.stack(x)), -1.0, 1.0)


class Generator(nnx.Module):
    """Both stages, for pictures "n h w 3" in [-1, 1] and masks "n h w", 1 = keep.

    Height and width are multiples of 8. The defaults are the paper's, for 256 x 256: 3,636,102
    weights.

    Args:
        width: channels of the first layer, even; the other layers have multiples of it.
        dilations: dilations of the dilated layers of both stages.
        rule: the places that the attention may copy from, see `known_keys`.
        fuse: whether the attention's scores are fused.

    Raises:
        ValueError: the rule is unknown, or the width is odd or below 2.
    """

    def __init__(
        self,
        width: int = 32,
        dilations: tuple[int, ...] = (2, 4, 8, 16),
        rule: str = "known",
        *,
        fuse: bool = True,
        rngs: nnx.Rngs,
    ):
        check_name("rule", rule, KEYS)
        check_count(width=width)
        if width % 2:
            raise ValueError(f"width is {width}, expected an even number")
        self.rule, self.fuse = rule, fuse
        dilated = tuple(Layer(4, dilation=rate) for rate in dilations)
        attended = (*encoder(1, 4)[:-1], Layer(4, relu=True))
        self.coarse = Painter(5, encoder(2, 4) + dilated + DECODER, width, rngs=rngs)
        self.branch = Stack(5, encoder(1, 2) + dilated, width, rngs=rngs)
        self.attended = Stack(5, attended, width, rngs=rngs)
        self.after = Stack(4 * width, (Layer(4), Layer(4)), width, rngs=rngs)
        self.joint = Painter(8 * width, DECODER, width, rngs=rngs)

    def __call__(
        self, images: Float[Array, "n h w 3"], masks: Float[Array, "n h w"]
    ) -> tuple[Float[Array, "n h w 3"], Float[Array, "n h w 3"]]:
        """Return the pictures of the coarse and the second stage, which see kept pixels only."""
        _, h, w, _ = images.shape
        if h % 8 or w % 8:
            raise ValueError(f"images are {h} x {w}, expected multiples of 8")
        kept = masks[..., None]
        seen = images * kept
        rest = jnp.concatenate([jnp.ones_like(kept), 1.0 - kept], axis=-1)
        coarse = self.coarse(jnp.concatenate([seen, rest], axis=-1))
        x = jnp.concatenate([seen + coarse * (1.0 - kept), rest], axis=-1)
        features = self.attended(x)
        attend = jax.vmap(lambda f, m: self._attend(f, m))
        copied = self.after(attend(features, masks))
        both = jnp.concatenate([self.branch(x), copied], axis=-1)
        return coarse, self.joint(both)

    def _attend(
        self, features: Float[Array, "h w c"], mask: Float[Array, "h2 w2"]
    ) -> Float[Array, "h w c"]:
        keys = known_keys(mask, (features.shape[0], features.shape[1]), self.rule)
        return contextual_attention(features, features, keys, fuse=self.fuse)


def _conv(c_in: int, c_out: int, layer: Layer, rngs: nnx.Rngs) -> nnx.Conv:
    return nnx.Conv(
        c_in,
        c_out,
        (layer.kernel, layer.kernel),
        layer.stride,
        padding="SAME",
        kernel_dilation=layer.dilation,
        kernel_init=nnx.initializers.glorot_uniform(),
        rngs=rngs,
    )
