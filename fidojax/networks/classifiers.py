"""The classifiers that fidojax ships, in Flax NNX.

Both take images in [0, 1], channels last, and return logits. `MnistAllConv` is the network that
VDSM and DeepLIFT explain ("mnist_cnn_allconv" in DeepLIFT's release); `ResNet` is a small
post-activation residual network (He et al. 2016, https://arxiv.org/abs/1512.03385) for 64 x 64
pictures.

No layer pools by maximum and no kernel is larger than its feature map: both are slow on XLA's CPU
backend.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from fidojax.networks.layers import ConvNorm
from fidojax.networks.preprocessing import normalised


class MnistAllConv(nnx.Module):
    """Two strided convolutions, two dense layers, 239,594 weights; images "n 28 28 1" in [0, 1].

    Dropout (0.25 and 0.5) is active only if a key is given.
    """

    def __init__(self, rngs: nnx.Rngs):
        glorot = nnx.initializers.glorot_uniform()
        self.conv1 = nnx.Conv(1, 32, (4, 4), 2, padding="VALID", kernel_init=glorot, rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, (4, 4), 2, padding="VALID", kernel_init=glorot, rngs=rngs)
        self.dense1 = nnx.Linear(1600, 128, kernel_init=glorot, rngs=rngs)
        self.logits = nnx.Linear(128, 10, kernel_init=glorot, rngs=rngs)
        self.drop1, self.drop2 = nnx.Dropout(0.25), nnx.Dropout(0.5)

    def __call__(
        self,
        images: Float[Array, "n 28 28 1"],
        *,
        train: bool = False,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "n 10"]:
        del train  # nothing but dropout differs in training, and the key says that
        key1, key2 = (None, None) if key is None else jax.random.split(key)
        x = nnx.relu(self.conv1(images))
        x = nnx.relu(self.conv2(x))
        x = self.drop1(x, deterministic=key is None, rngs=key1)
        x = nnx.relu(self.dense1(x.reshape(x.shape[0], -1)))
        x = self.drop2(x, deterministic=key is None, rngs=key2)
        return self.logits(x)


class Block(nnx.Module):
    """relu(shortcut(x) + conv2(relu(conv1(x)))).

    Where the size changes, the shortcut is a convolution.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, *, norm: bool, rngs: nnx.Rngs):
        self.conv1 = ConvNorm(c_in, c_out, 3, stride, norm=norm, rngs=rngs)
        # Scale 0: a block starts as the identity.
        self.conv2 = ConvNorm(c_out, c_out, 3, 1, norm=norm, rngs=rngs, scale=0.0)
        # A 2 x 2 kernel, not 1 x 1: at stride 2 it sees every pixel.
        same = (c_in, 1) == (c_out, stride)
        self.shortcut = (
            None if same else ConvNorm(c_in, c_out, stride, stride, norm=norm, rngs=rngs)
        )

    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h2 w2 c2"]:
        shortcut = x if self.shortcut is None else self.shortcut(x, train)
        return nnx.relu(shortcut + self.conv2(nnx.relu(self.conv1(x, train)), train))


class ResNet(nnx.Module):
    """Residual network for images "n h w 3" in [0, 1].

    Normalising by ImageNet's mean and standard deviation is part of the network. The stem halves
    the size, and so does each stage but the first; then the global mean and a dense layer. With
    four stages h and w are multiples of 16 and at least 48. With `norm=False` there is no batch
    norm: convolution, bias and relu only, which is what `fold` returns.

    Args:
        classes: number of logits.
        widths: channels of each stage.
        blocks: blocks of each stage.
        norm: whether each convolution is followed by batch norm.
    """

    def __init__(
        self,
        classes: int,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        blocks: tuple[int, ...] = (2, 2, 2, 1),
        *,
        norm: bool = True,
        rngs: nnx.Rngs,
    ):
        if len(widths) != len(blocks):
            raise ValueError(
                f"widths and blocks need one entry per stage, got {widths} and {blocks}"
            )
        self.config = (classes, tuple(widths), tuple(blocks))
        self.stem = ConvNorm(3, widths[0], 4, 2, norm=norm, rngs=rngs)
        layers, c_in = [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(Block(c_in, width, stride, norm=norm, rngs=rngs))
                c_in = width
        self.blocks = nnx.List(layers)
        self.logits = nnx.Linear(c_in, classes, rngs=rngs)

    def __call__(
        self,
        images: Float[Array, "n h w 3"],
        *,
        train: bool = False,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "n k"]:
        del key  # no dropout
        x = nnx.relu(self.stem(normalised(images), train))
        for block in self.blocks:
            x = block(x, train)
        return self.logits(jnp.mean(x, axis=(1, 2)))
