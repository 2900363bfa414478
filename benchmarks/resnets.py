"""ResNet-18 and ResNet-50 (He et al. 2016) in JAX, with random weights and batch norm folded.

    weights = resnet50_weights()
    logits = resnet50(weights, images)  # images "n h w 3" in [0, 1]

`benchmarks.peers.torch_networks` builds the same networks from the same weights.
"""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from fidojax.networks import IMAGENET_MEAN, IMAGENET_STD

Weights = Mapping[str, jax.Array]

STAGES = {f"stage{i}": 64 << i for i in range(4)}
"""The stages of ResNet-18, of two blocks each, and their channels."""
BLOCKS = {"conv2": (3, 64), "conv3": (4, 128), "conv4": (6, 256), "conv5": (3, 512)}
"""The stages of ResNet-50, their blocks, and the channels of a block's first convolutions."""
CAFFE_MEAN = (103.939, 116.779, 123.68)
"""What Keras's ResNet-50 subtracts from its images, in [0, 255] and BGR."""


def resnet18(weights: Weights, images: Float[Array, "n h w 3"]) -> Float[Array, "n 1000"]:
    """Compute the logits of ResNet-18 for images in [0, 1]."""
    x = (images - jnp.asarray(IMAGENET_MEAN)) / jnp.asarray(IMAGENET_STD)
    x = _pool(jax.nn.relu(_conv(weights, "stem", x, 2)))
    for stage, block, stride in resnet18_blocks():
        name = f"{stage}/{block}"
        h = jax.nn.relu(_conv(weights, f"{name}/conv1", x, stride))
        shortcut = _conv(weights, f"{name}/shortcut", x, stride) if stride > 1 else x
        x = jax.nn.relu(shortcut + _conv(weights, f"{name}/conv2", h))
    return x.mean((1, 2)) @ weights["logits/kernel"] + weights["logits/bias"]


def resnet50(weights: Weights, images: Float[Array, "n h w 3"]) -> Float[Array, "n 1000"]:
    """Compute the logits of Keras's ResNet-50 for images in [0, 1]."""
    x = 255 * images[..., ::-1] - jnp.asarray(CAFFE_MEAN)
    x = _pool(jax.nn.relu(_conv(weights, "conv1_conv", x, 2)))
    for name, block, stride in resnet50_blocks():
        h = jax.nn.relu(_conv(weights, f"{name}_1_conv", x, stride))
        h = _conv(weights, f"{name}_3_conv", jax.nn.relu(_conv(weights, f"{name}_2_conv", h)))
        shortcut = x if block else _conv(weights, f"{name}_0_conv", x, stride)
        x = jax.nn.relu(shortcut + h)
    return x.mean((1, 2)) @ weights["predictions/kernel"] + weights["predictions/bias"]


def _conv(weights: Weights, name: str, x: jax.Array, stride: int = 1) -> jax.Array:
    kernel = weights[f"{name}/kernel"]
    pads = [((k - 1) // 2, (k - 1) // 2) for k in kernel.shape[:2]]
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + weights[f"{name}/bias"]


def _pool(x: jax.Array) -> jax.Array:
    pads = ((0, 0), (1, 1), (1, 1), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), pads)


def resnet18_blocks() -> list[tuple[str, int, int]]:
    """Return (stage, block, stride) of every block, in order."""
    return [
        (stage, block, 2 if block == 0 and stage != "stage0" else 1)
        for stage in STAGES
        for block in range(2)
    ]


def resnet50_blocks() -> list[tuple[str, int, int]]:
    """Return (name, number in its stage, stride) of every block, in order."""
    return [
        (f"{stage}_block{block + 1}", block, 2 if block == 0 and stage != "conv2" else 1)
        for stage, (count, _) in BLOCKS.items()
        for block in range(count)
    ]


def resnet18_weights(classes: int = 1000) -> dict[str, np.ndarray]:
    """Draw weights that preserve the variance of the activations."""
    shapes = {"stem": (7, 7, 3, 64), "logits": (512, classes)}
    c_in = 64
    for stage, block, stride in resnet18_blocks():
        name, c_out = f"{stage}/{block}", STAGES[stage]
        shapes |= {f"{name}/conv1": (3, 3, c_in, c_out), f"{name}/conv2": (3, 3, c_out, c_out)}
        if stride > 1:
            shapes[f"{name}/shortcut"] = (1, 1, c_in, c_out)
        c_in = c_out
    return _drawn(shapes.items())


def resnet50_weights(classes: int = 1000) -> dict[str, np.ndarray]:
    """Draw weights by the names of Keras's layers."""
    shapes = {"conv1_conv": (7, 7, 3, 64), "predictions": (2048, classes)}
    c_in = 64
    for name, block, _ in resnet50_blocks():
        inner = BLOCKS[name.partition("_")[0]][1]
        shapes |= {f"{name}_1_conv": (1, 1, c_in, inner), f"{name}_2_conv": (3, 3, inner, inner)}
        shapes[f"{name}_3_conv"] = (1, 1, inner, 4 * inner)
        if block == 0:
            shapes[f"{name}_0_conv"] = (1, 1, c_in, 4 * inner)
        c_in = 4 * inner
    return _drawn(shapes.items())


def _drawn(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    arrays = {}
    for name, shape in shapes:
        spread = np.sqrt(2 / np.prod(shape[:-1]))
        arrays[f"{name}/kernel"] = draw.normal(0, spread, shape).astype(np.float32)
        arrays[f"{name}/bias"] = draw.normal(0, 0.1, shape[-1:]).astype(np.float32)
    return arrays
