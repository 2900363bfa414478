"""Classifiers with weights by name: the shipped ones, weights on disk, and those of Keras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax import nnx

from fidojax.core import check_name
from fidojax.networks import interception, keras, weight_files
from fidojax.networks.shipped import SHIPPED, WEIGHTS, Pretrained


def load(
    name: str = "tiny_imagenet40", weights: str | Path | None = None, layer: str | None = None
) -> Pretrained:
    """Return a classifier with its weights, ready to be explained.

    Args:
        name: a key of `SHIPPED`, or "keras:NAME" for a network of `keras.applications`.
        weights: a file to read instead of the shipped one, whose arrays have the names and shapes
            of the network `name`, in any floating type; for Keras's networks see
            `fidojax.networks.keras.load_keras`.
        layer: the layer whose output is the features for Grad-CAM; the last convolutional layer
            when None.

    Raises:
        ValueError: the name is unknown, or the file's arrays do not fit the network, or it has no
            such layer.
        FileNotFoundError: there is no such file.
        ImportError, RuntimeError: "keras:NAME" without Keras, or without its weights.

    Example:
        >>> network = fidojax.networks.load("tiny_imagenet40")
        >>> logits = network.classifier(images)  # images "n 64 64 3" in [0, 1]
        >>> names = [network.labels[i] for i in logits.argmax(-1)]
    """
    if name.startswith("keras:"):
        return keras.load_keras(name.removeprefix("keras:"), weights, layer)
    if name not in SHIPPED:
        raise ValueError(f'name must be "keras:NAME" or one of {", ".join(SHIPPED)}; got {name!r}')
    shipped = SHIPPED[name]
    path = WEIGHTS / f"{name}.npz" if weights is None else Path(weights)
    classifier = weight_files.restore(path, shipped.network)
    if layer is None:
        layer = shipped.layer
    else:
        check_name("layer", layer, interception.nnx_layers(nnx.eval_shape(shipped.network)))
    classifier = interception.tap_layer(classifier, _intercepted, layer)
    return Pretrained(name, classifier, shipped.labels, shipped.size)


def _intercepted(intercept: Callable, layer: str, graph: Any, params: Any, images: Any) -> Any:
    network = nnx.merge(graph, params)
    interception.intercept_nnx(network, layer, intercept)
    return network(jnp.asarray(images))
