"""load: shipped or keras:NAME."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax import nnx

from fidojax.core import check_name, suggest
from fidojax.networks import interception, weight_files
from fidojax.networks.shipped import SHIPPED, WEIGHTS, Pretrained


def class_index(name: str, labels: tuple[str, ...]) -> int:
    """The class of a name (upper or lower case, spaces or underscores) or of an index.

    Raises:
        ValueError: there is no such class, or there are several.
    """
    wanted = name.strip().replace("_", " ").lower()
    found = [i for i, label in enumerate(labels) if label.replace("_", " ").lower() == wanted]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        places = " and ".join(map(str, found))
        raise ValueError(f"--target: the classes {places} are both called {name!r}; give the index")
    if wanted.lstrip("-").isdigit():
        if not 0 <= int(wanted) < len(labels):
            raise ValueError(f"--target: {name} is not in 0 to {len(labels) - 1}")
        return int(wanted)
    raise ValueError(f"--target: no class is called {name!r}; {suggest(wanted, labels)}")


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
        from fidojax.networks.keras import load_keras

        return load_keras(name.removeprefix("keras:"), weights, layer)
    if name not in SHIPPED:
        raise ValueError(f'name must be "keras:NAME" or one of {", ".join(SHIPPED)}; got {name!r}')
    shipped = SHIPPED[name]
    path = WEIGHTS / f"{name}.npz" if weights is None else Path(weights)
    classifier = weight_files.restore(path, shipped.network)
    if layer is None:
        layer = shipped.layer
    else:
        check_name("layer", layer, interception.nnx_layers(nnx.eval_shape(shipped.network)))
    classifier = interception.tapped(classifier, _intercepted, layer)
    return Pretrained(name, classifier, shipped.labels, shipped.size)


def _intercepted(intercept: Callable, layer: str, graph: Any, params: Any, images: Any) -> Any:
    network = nnx.merge(graph, params)
    interception.intercept_nnx(network, layer, intercept)
    return network(jnp.asarray(images))
