"""Classifiers with weights: the shipped ones, weights on disk, and Keras's through `keras:NAME`.

    cat = load("tiny_imagenet40")
    logits = cat.classifier(images)  # "n 64 64 3" in [0, 1] -> "n 40"

Weights are .npz files of `fidojax.stored`, batch norm folded into the biases.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx

from fidojax import layers, stored
from fidojax.names import check_name
from fidojax.networks import MnistAllConv, ResNet
from fidojax.types import Classifier

WEIGHTS = Path(__file__).parent / "weights"

# The order is that of the data set: a class's place is its logit.
# fmt: off
TINY_IMAGENET40 = (
    "goldfish", "European fire salamander", "bullfrog", "American alligator", "boa constrictor",
    "trilobite", "tarantula", "ladybug", "monarch", "goose", "koala", "jellyfish", "snail",
    "American lobster", "black stork", "king penguin", "dugong", "golden retriever",
    "German shepherd", "Persian cat", "lion", "brown bear", "bison", "chimpanzee",
    "African elephant", "lesser panda", "school bus", "sports car", "bullet train", "tabby",
    "teapot", "umbrella", "volleyball", "banana", "lemon", "pizza", "orange", "bell pepper",
    "mushroom", "espresso",
)
# fmt: on


class Pretrained(NamedTuple):
    """A classifier with what one needs to know to use it.

    Attributes:
        name: what `load` was asked for.
        classifier: images "n h w c" in [0, 1] -> logits "n k"; its preprocessing is inside, and
            its last convolutional features are named, for GradCAM.
        labels: readable class names, one per logit.
        size: (h, w, c) of the images.
    """

    name: str
    classifier: Classifier
    labels: tuple[str, ...]
    size: tuple[int, int, int]


class Shipped(NamedTuple):
    """A row of `SHIPPED`: how to build the network that the weights of that name belong to.

    `layer` is the one whose output is its last convolutional features.
    """

    network: Callable[[], nnx.Module]
    labels: tuple[str, ...]
    size: tuple[int, int, int]
    layer: str


SHIPPED = {
    "tiny_imagenet40": Shipped(
        lambda: ResNet(40, (24, 64, 128, 256), (1, 2, 2, 1), norm=False, rngs=nnx.Rngs(0)),
        TINY_IMAGENET40,
        (64, 64, 3),
        "blocks.5",
    ),
    "mnist": Shipped(lambda: MnistAllConv(nnx.Rngs(0)), tuple("0123456789"), (28, 28, 1), "conv2"),
}


def load(
    name: str = "tiny_imagenet40", weights: str | Path | None = None, layer: str | None = None
) -> Pretrained:
    """A classifier ready to be explained.

    Args:
        name: a key of `SHIPPED`, or "keras:NAME" for a network of `keras.applications`.
        weights: a file to read instead of the shipped one; its arrays must have the names and
            shapes of the network called `name`. It may store any floating type.
        layer: whose output is the features that GradCAM explains by; the last convolutional ones
            when None.

    Raises:
        ValueError: the name is unknown, or the file's arrays do not fit the network, or it has no
            such layer.
        FileNotFoundError: there is no such file.
    """
    if name.startswith("keras:"):
        from fidojax.adapters import load_keras

        return load_keras(name.removeprefix("keras:"), weights, layer)
    if name not in SHIPPED:
        raise ValueError(f'name must be "keras:NAME" or one of {", ".join(SHIPPED)}; got {name!r}')
    shipped = SHIPPED[name]
    path = WEIGHTS / f"{name}.npz" if weights is None else Path(weights)
    classifier = stored.restore(path, shipped.network)
    if layer is None:
        layer = shipped.layer
    else:
        check_name("layer", layer, layers.nnx_layers(nnx.eval_shape(shipped.network)))
    classifier = layers.tapped(classifier, _intercepted, layer)
    return Pretrained(name, classifier, shipped.labels, shipped.size)


def _intercepted(intercept: Callable, layer: str, graph: Any, params: Any, images: Any) -> Any:
    network = nnx.merge(graph, params)
    layers.intercept_nnx(network, layer, intercept)
    return network(jnp.asarray(images))
