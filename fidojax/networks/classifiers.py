"""The classifiers that fidojax ships, in Flax NNX.

Both take images in [0, 1], channels last, and return logits. `MnistAllConv` is the network that
VDSM and DeepLIFT explain ("mnist_cnn_allconv" in DeepLIFT's release); `ResNet` is a small
post-activation residual network (He et al. 2016, https://arxiv.org/abs/1512.03385) for 64 x 64
pictures.

No layer pools by maximum and no kernel is larger than its feature map: both are slow on XLA's CPU
backend.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class MnistAllConv(nnx.Module):
    """Two strided convolutions, two dense layers, 239,594 weights; images "n 28 28 1" in [0, 1].

    Dropout (0.25 and 0.5) is active only where a key is given.
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


class ConvNorm(nnx.Module):
    """A convolution, then batch norm (`norm=True`); without it a bias (`norm=False`)."""

    def __init__(
        self, c_in, c_out, kernel, stride, *, norm: bool, rngs: nnx.Rngs, scale: float = 1.0
    ):
        he = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
        self.conv = nnx.Conv(
            c_in, c_out, (kernel, kernel), stride, use_bias=not norm, kernel_init=he, rngs=rngs
        )
        constant = nnx.initializers.constant(scale)
        self.norm = (
            nnx.BatchNorm(c_out, momentum=0.9, scale_init=constant, rngs=rngs) if norm else None
        )

    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h2 w2 c2"]:
        x = self.conv(x)
        return x if self.norm is None else self.norm(x, use_running_average=not train)


class Block(nnx.Module):
    """relu(shortcut(x) + conv2(relu(conv1(x)))).

    Where the size changes, the shortcut is a convolution.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, *, norm: bool, rngs: nnx.Rngs):
        self.conv1 = ConvNorm(c_in, c_out, 3, stride, norm=norm, rngs=rngs)
        self.conv2 = ConvNorm(
            c_out, c_out, 3, 1, norm=norm, rngs=rngs, scale=0.0
        )  # a block starts as identity
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
        x = (images - jnp.asarray(IMAGENET_MEAN)) / jnp.asarray(IMAGENET_STD)
        x = nnx.relu(self.stem(x, train))
        for block in self.blocks:
            x = block(x, train)
        return self.logits(jnp.mean(x, axis=(1, 2)))


def fold(network: Any) -> Any:
    """The same function without batch norm, whose running statistics go into kernels and biases.

    scale (conv(x) - mean) / sqrt(var + eps) + bias is again a convolution.

    Args:
        network: has all of its batch norm in `ConvNorm`s, and in `config` the arguments of its
            class.

    Raises:
        ValueError: it is folded already.
    """
    # Abstract, so that no weights are drawn which would be replaced at once.
    folded = nnx.eval_shape(lambda: type(network)(*network.config, norm=False, rngs=nnx.Rngs(0)))
    target: dict[tuple, Any] = dict(nnx.iter_graph(folded))
    inside = set()
    for path, module in nnx.iter_graph(network):
        if isinstance(module, ConvNorm):
            norm: Any = module.norm  # its arrays are optional in the types only
            conv = target[path].conv
            if norm is None:
                raise ValueError("fold needs a network with norm=True")
            gain = norm.scale[...] / jnp.sqrt(norm.var[...] + norm.epsilon)
            conv.kernel.set_value(module.conv.kernel[...] * gain)
            conv.bias.set_value(norm.bias[...] - norm.mean[...] * gain)
            inside.add((*path, "conv"))
        elif isinstance(module, nnx.Conv | nnx.Linear) and path not in inside:
            nnx.update(target[path], nnx.state(module))
    return folded
