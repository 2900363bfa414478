"""The classifier of a graph: its weights are the leaves, the graph is the structure."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from fidojax.core import Bound, check_name
from fidojax.networks.graph.graph import Graph, evaluate
from fidojax.networks.graph.view import arranged, from_channels_last, plain
from fidojax.networks.interception import Static, Tapped
from fidojax.networks.preprocessing import Preprocess, pack, prepare
from fidojax.types import Classifier


class Network:
    """A graph with the rules that compute it; two with equal graphs are equal."""

    def __init__(self, graph: Graph, rules: Mapping[str, Callable]) -> None:
        self.graph = graph
        self.rules = rules

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and (self.graph, id(self.rules)) == (
            other.graph,
            id(other.rules),
        )

    def __hash__(self) -> int:
        return hash(self.graph)


def from_graph(
    graph: Graph,
    rules: Mapping[str, Callable],
    weights: Mapping[str, Any],
    preprocess: Preprocess | None,
    layer: str | None,
) -> Classifier:
    """Return the classifier of a graph.

    Args:
        rules: what computes the graph's operations.
        weights: the arrays by name.
        preprocess: from images in [0, 1] to what the network expects.
        layer: the name of the layer whose output is the features.

    Raises:
        ValueError: the graph has no such layer.
    """
    if layer is not None:
        check_name("layer", layer, graph.layer)
    leaves = {name: jnp.asarray(array) for name, array in weights.items()}
    classifier = Bound(_logits, Static(Network(graph, rules)), pack(preprocess), leaves)
    if layer is None:
        return classifier
    static = Static(layer)
    return Tapped(classifier, Partial(_features, static), Partial(_rest, static))


def _logits(network, preprocess, weights, images):
    arguments = (network, preprocess, weights)
    return _values(network.value.graph.logits, None, arguments, images, {})


def _features(layer, classifier, images):
    network = classifier.args[0]
    found = network.value.graph.layer[layer.value]
    return _values(found.value, found.channels, classifier.args, images, {})


def _rest(layer, classifier, images, activations):
    graph = classifier.args[0].value.graph
    found = graph.layer[layer.value]
    given = {found: activations}
    return _values(graph.logits, None, classifier.args, images, given)


def _values(wanted, channels, arguments, images, given):
    """Return one value of the network for each image: pictures with their channels last.

    The graph is that of one image, so that every image is evaluated by itself.

    Args:
        channels: the axis of the value's channels, if it is a picture.
        arguments: those of the classifier.
        given: activations by their layer.
    """
    network, preprocess, weights = arguments
    graph, rules = network.value.graph, network.value.rules
    images = prepare(preprocess, images)
    if images.shape[1:] != graph.size:
        raise ValueError(
            f"images: the network was made for pictures {_by(graph.size)}, got"
            f" {_by(images.shape[1:])}; make it again with size={tuple(images.shape[1:])}"
        )
    floats = [w.dtype for w in weights.values() if jnp.issubdtype(w.dtype, jnp.floating)]

    def one(image, given):
        image = image.astype(floats[0] if floats else image.dtype)
        values = {graph.image: _counted(image[None], 3 if graph.channels_last else 1)}
        for layer, value in given.items():
            picture = value.ndim == 3
            values[layer.value] = _counted(value[None], layer.channels) if picture else value[None]
        value = evaluate(graph, rules, weights, values, wanted)
        if channels is not None and value.ndim == 4:
            return arranged(value, [axis for axis in range(4) if axis != channels] + [channels])[0]
        return plain(value)[0]

    return jax.vmap(one)(images, given)


def _counted(picture: Any, channels: int) -> Any:
    """Return "1 h w c" as the value whose channels are this axis."""
    return from_channels_last(picture) if channels == 1 else picture


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
