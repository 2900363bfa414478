"""Classifiers with weights: the shipped ones, weights on disk, and Keras's through `keras:NAME`.

    cat = load("tiny_imagenet40")
    logits = cat.classifier(images)  # "n 64 64 3" in [0, 1] -> "n 40"

Weights are .npz files of `fidojax.networks.weight_files`, batch norm folded into the biases.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flax import nnx

from fidojax.networks.classifiers import MnistAllConv, ResNet
from fidojax.types import Classifier

WEIGHTS = Path(__file__).parents[1] / "weights"

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
