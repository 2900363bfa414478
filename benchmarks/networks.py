"""The measured networks: the shipped ones, Keras's, and standard ResNets with random weights.

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
from jax.tree_util import Partial

from benchmarks import resnets
from fidojax import networks
from fidojax.networks import import_keras, weight_files
from fidojax.types import Classifier

RESNETS = {
    "resnet18": (resnets.resnet18, resnets.resnet18_weights, (64, 64, 3)),
    "resnet50": (resnets.resnet50, resnets.resnet50_weights, (224, 224, 3)),
}
"""The standard ResNets by name: what computes the logits, what draws the weights, and the size."""


class Network(NamedTuple):
    """A classifier, the (h, w, c) of its images, and its weights by name with folded batch norm."""

    classifier: Classifier
    size: tuple[int, int, int]
    arrays: dict[str, np.ndarray]


def load(name: str, weights: Path | None = None) -> Network:
    """Load a network with its weights.

    Args:
        name: as `fidojax.networks.load` takes it, or a key of `RESNETS`, with random weights.
        weights: weights file of a Keras network; random weights if not given.
    """
    if name in RESNETS:
        compute, draw, size = RESNETS[name]
        arrays = draw()
        return Network(Partial(compute, jax.tree.map(jnp.asarray, arrays)), size, arrays)
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
