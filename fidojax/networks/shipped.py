"""The classifiers with weights by name, and the form in which every loaded one is returned."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flax import nnx

from fidojax.core import suggest
from fidojax.data import IMAGENET_CROP, find_classes
from fidojax.networks.classifiers import MnistAllConv, ResNet
from fidojax.networks.efficientnet_lite import SCALES, EfficientNetLite
from fidojax.types import Classifier

WEIGHTS = Path(__file__).parents[1] / "weights"
"""The folder of the shipped weights, .npz files of `fidojax.networks.weight_files`."""

# The order of the data set, which is the order of the logits.
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
    """A classifier, its classes and the size of its images.

    Attributes:
        name: the name that `load` was given.
        classifier: images "n h w c" in [0, 1] -> logits "n k", preprocessing included; it shows
            its last convolutional features, for Grad-CAM.
        labels: readable names of the classes, one per logit.
        size: (h, w, c) of the images.
        crop: share of a picture's shorter side that the centre crop keeps, as the network was
            trained; 1 keeps all of it.
    """

    name: str
    classifier: Classifier
    labels: tuple[str, ...]
    size: tuple[int, int, int]
    crop: float = 1.0

    def target(self, name: str) -> int:
        """Return the index of a class by its name; the case, spaces and underscores do not count.

        Raises:
            ValueError: no class is called so, or several are; the message names similar ones.

        Example:
            >>> network = fidojax.networks.load("tiny_imagenet40")
            >>> network.target("Persian cat")
            19
        """
        found = find_classes(name, self.labels)
        if len(found) > 1:
            places = " and ".join(map(str, found))
            raise ValueError(f"target: the classes {places} are both called {name!r}")
        if not found:
            raise ValueError(
                f"target: no class is called {name!r}; {suggest(name.strip(), self.labels)}"
            )
        return found[0]

    def __repr__(self) -> str:
        height, width, channels = self.size
        return (
            f"Pretrained({self.name!r}, {len(self.labels)} classes,"
            f" pictures of {height} x {width} x {channels})"
        )


class Shipped(NamedTuple):
    """A row of `SHIPPED` or of `PACKAGED`.

    Attributes:
        network: builds the network that the weights of this name belong to.
        labels: readable names of the classes, one per logit.
        size: (h, w, c) of the images.
        layer: the layer whose output is the last convolutional features.
        crop: as in `Pretrained`.
    """

    network: Callable[[], nnx.Module]
    labels: tuple[str, ...]
    size: tuple[int, int, int]
    layer: str
    crop: float = 1.0


@functools.cache
def imagenet_labels() -> tuple[str, ...]:
    """Return the names of ImageNet's 1000 classes, in the usual order of the logits."""
    return tuple((WEIGHTS / "imagenet_labels.txt").read_text("utf-8").splitlines())


SHIPPED = {
    "tiny_imagenet40": Shipped(
        lambda: ResNet(40, (24, 64, 128, 256), (1, 2, 2, 1), norm=False, rngs=nnx.Rngs(0)),
        TINY_IMAGENET40,
        (64, 64, 3),
        "blocks.5",
    ),
    "mnist": Shipped(lambda: MnistAllConv(nnx.Rngs(0)), tuple("0123456789"), (28, 28, 1), "conv2"),
}
"""Networks that this project has trained, with their weights in `WEIGHTS`."""


def _efficientnet_lite(name: str) -> Shipped:
    scale = SCALES[name]
    return Shipped(
        lambda: EfficientNetLite(scale, rngs=nnx.Rngs(0)),
        imagenet_labels(),
        (scale.size, scale.size, 3),
        layer="head",
        crop=IMAGENET_CROP,
    )


PACKAGED = {name: _efficientnet_lite(name) for name in SCALES}
"""ImageNet networks with their weights in packages that are installed on their own."""
