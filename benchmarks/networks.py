"""The measured networks: the shipped ones, Keras's, and the standard ResNet-18.

    network = load("resnet18")
    network.classifier(images), network.arrays

`arrays` holds all weights by name; `benchmarks.peers.torch_networks` builds the same network from
them.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.tree_util import Partial

from fidojax import networks
from fidojax.networks import IMAGENET_MEAN, IMAGENET_STD, import_keras, weight_files
from fidojax.types import Classifier

RESNET18 = "resnet18"
STAGES = {f"stage{i}": 64 << i for i in range(4)}
"""The stages of ResNet-18, of two blocks each, and their channels."""


class Network(NamedTuple):
    """A classifier, the (h, w, c) of its images, and its weights by name with folded batch norm."""

    classifier: Classifier
    size: tuple[int, int, int]
    arrays: dict[str, np.ndarray]


def load(name: str, weights: Path | None = None) -> Network:
    """Load a network with its weights.

    Args:
        name: as `fidojax.networks.load` takes it, or "resnet18" with random weights for 64 x 64
            pictures.
        weights: weights file of a Keras network; random weights if not given.
    """
    if name == RESNET18:
        arrays = resnet18_weights()
        return Network(Partial(resnet18, jax.tree.map(jnp.asarray, arrays)), (64, 64, 3), arrays)
    if not name.startswith("keras:"):
        found = networks.load(name)
        return Network(
            found.classifier, found.size, weight_files.read(networks.WEIGHTS / f"{name}.npz")
        )
    found = networks.load(name, weights or "random")
    model = getattr(import_keras().applications, name.removeprefix("keras:"))(weights=None)
    return Network(found.classifier, found.size, _folded(model, jax.tree.leaves(found.classifier)))


def _folded(model: Any, leaves: Iterable[jax.Array]) -> dict[str, np.ndarray]:
    """Return Keras's weights by layer, each batch norm folded into its convolution."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    arrays = {v.path: np.asarray(leaf) for v, leaf in zip(variables, leaves, strict=True)}
    for norm in [path.split("/")[0] for path in arrays if path.endswith("/moving_mean")]:
        parts = ("moving_mean", "moving_variance", "gamma", "beta")
        mean, variance, gamma, beta = (arrays.pop(f"{norm}/{part}") for part in parts)
        conv = re.sub("^bn_|_BN$|_bn$", "", norm)
        conv = conv if f"{conv}/kernel" in arrays else f"{conv}_conv"
        gain = gamma / np.sqrt(variance + model.get_layer(norm).epsilon)
        kernel = arrays[f"{conv}/kernel"]
        depthwise = kernel.shape[3] != gain.size
        arrays[f"{conv}/kernel"] = kernel * (gain[:, None] if depthwise else gain)
        arrays[f"{conv}/bias"] = beta + gain * (arrays.get(f"{conv}/bias", 0.0) - mean)
    return arrays


def resnet18(weights: dict[str, jax.Array], images: jax.Array) -> jax.Array:
    """Compute the logits "n 1000" of He et al. 2016's ResNet-18 for images "n h w 3" in [0, 1]."""

    def conv(x, name, stride=1):
        kernel = weights[f"{name}/kernel"]
        pads = [((k - 1) // 2, (k - 1) // 2) for k in kernel.shape[:2]]
        y = lax.conv_general_dilated(
            x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y + weights[f"{name}/bias"]

    x = (images - jnp.asarray(IMAGENET_MEAN)) / jnp.asarray(IMAGENET_STD)
    x = jax.nn.relu(conv(x, "stem", 2))
    pads = ((0, 0), (1, 1), (1, 1), (0, 0))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), pads)
    for stage, block, stride in resnet18_blocks():
        name = f"{stage}/{block}"
        h = jax.nn.relu(conv(x, f"{name}/conv1", stride))
        shortcut = conv(x, f"{name}/shortcut", stride) if stride > 1 else x
        x = jax.nn.relu(shortcut + conv(h, f"{name}/conv2"))
    return x.mean((1, 2)) @ weights["logits/kernel"] + weights["logits/bias"]


def resnet18_blocks() -> list[tuple[str, int, int]]:
    """Return (stage, block, stride) of every block, in order."""
    return [
        (stage, block, 2 if block == 0 and stage != "stage0" else 1)
        for stage in STAGES
        for block in range(2)
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
    draw = np.random.default_rng(0)
    arrays = {}
    for name, shape in shapes.items():
        spread = np.sqrt(2 / np.prod(shape[:-1]))
        arrays[f"{name}/kernel"] = draw.normal(0, spread, shape).astype(np.float32)
        arrays[f"{name}/bias"] = draw.normal(0, 0.1, shape[-1:]).astype(np.float32)
    return arrays
