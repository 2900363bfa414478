"""The networks of `keras.applications`, and of keras-hub where it is installed."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax.numpy as jnp

from benchmarks.jax_zoo.model import CLASSES, Model, weights
from fidojax import networks

SIDES = {"VGG": 32, "Xception": 71, "Inception": 75}
"""Beginning of the name -> the smallest side; 32 for others."""
SMALL = ("VGG16",)
FIRST = (
    *SMALL, "MobileNetV3Small", "ConvNeXtTiny", "MobileNet", "ResNet50", "EfficientNetB0",
    "MobileNetV2", "ResNet50V2", "EfficientNetV2B0", "DenseNet121", "Xception", "InceptionV3",
    "MobileNetV3Large", "NASNetMobile", "InceptionResNetV2",
)  # fmt: skip
"""A network of each family; the others differ from them in depth and width."""


def applications() -> list[str]:
    """Return the names of all networks of `keras.applications`, one of each family first."""
    keras = networks.import_keras()
    found = {
        name
        for name, value in vars(keras.applications).items()
        if callable(value) and name[0].isupper()
    }
    return [*FIRST, *sorted(found - set(FIRST))]


def application(name: str) -> Any:
    """Return the classifier of a network of `keras.applications`, with drawn weights."""
    keras = networks.import_keras()
    side = side_of(name)
    with drawn_weights(keras):
        model = getattr(keras.applications, name)(
            weights=None, input_shape=(side, side, 3), classes=CLASSES, classifier_activation=None
        )
    return networks.from_keras(model, layer=last_features(model))


def side_of(name: str) -> int:
    """Return the smallest side of a network's pictures."""
    return next((side for start, side in SIDES.items() if name.startswith(start)), 32)


def last_features(model: Any) -> str:
    """Return the name of the last layer that makes pictures, else tokens, before their mean."""
    ranks = {
        layer.name: len(layer.output.shape)
        for layer in model.layers[1:]
        if hasattr(layer.output, "shape")
    }
    for rank in (4, 3):
        found = [name for name, its in ranks.items() if its == rank and "global" not in name]
        if found:
            return found[-1]
    raise ValueError(f"{model.name} has no pictures and no tokens")


def drawn_weights(keras: Any) -> Any:
    """Replace the random initialisers, which compile a program for each shape."""

    def call(self, shape, dtype=None, **rest):
        return jnp.asarray(weights(tuple(shape), "float32"))

    kinds = keras.initializers.VarianceScaling, keras.initializers.TruncatedNormal
    stack = contextlib.ExitStack()
    for kind in kinds:
        stack.enter_context(mock.patch.object(kind, "__call__", call))
    return stack


def models() -> Iterator[Model]:
    """Yield the networks."""
    for name in applications():
        build = functools.partial(application, name)
        yield Model(name, "keras", "from_keras", side_of(name), build, name in SMALL)
