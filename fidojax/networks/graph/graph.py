"""A network as data: a list of named operations, each with its operands and its results."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fidojax.networks.graph.view import view


class Ref(NamedTuple):
    """An operand that is a value of the graph."""

    name: str


class Node(NamedTuple):
    """One operation.

    Attributes:
        op: its name in the table of rules.
        operands: `Ref`s, Python values, None, or tuples of these.
        options: (name, value) of each keyword argument, where values are as operands are.
        results: the names of its results; the rule returns a tuple if there are several.
    """

    op: str
    operands: tuple
    options: tuple[tuple[str, Any], ...]
    results: tuple[str, ...]


class Layer(NamedTuple):
    """What a layer gives: the name of the value, and which of its axes holds the channels."""

    value: str
    channels: int


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A network without its weights, compared by content: equal graphs share one trace.

    Attributes:
        nodes: the operations, each after those that it needs.
        image, logits: the names of the input, "1 c h w", and of the output, "1 k".
        size: (h, w, c) of the image.
        orders: (name, order) of each weight that is stored in another order (`view.View`).
        constants: (name, array) of each array of whole numbers, which are part of the structure.
        layers: (path, `Layer`) of each layer by its name.
        channels_last: whether the image is "1 h w c" instead.
    """

    nodes: tuple[Node, ...]
    image: str
    logits: str
    size: tuple[int, int, int]
    orders: tuple[tuple[str, tuple[int, ...]], ...] = ()
    constants: tuple[tuple[str, np.ndarray], ...] = ()
    layers: tuple[tuple[str, Layer], ...] = ()
    channels_last: bool = False

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of all of it."""
        parts = [(f.name, getattr(self, f.name)) for f in dataclasses.fields(self)]
        parts = [(name, value) for name, value in parts if name != "constants"]
        digest = hashlib.sha256(repr(parts).encode())
        for name, array in self.constants:
            digest.update(repr((name, array.dtype, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    @functools.cached_property
    def layer(self) -> dict[str, Layer]:
        """The layers by their names."""
        return dict(self.layers)


def refs(operands: Any) -> Iterator[str]:
    """Yield the names of the values among nested operands."""
    if isinstance(operands, Ref):
        yield operands.name
    elif isinstance(operands, tuple):
        for each in operands:
            yield from refs(each)


def needed(nodes: Collection[Node], wanted: str, given: Collection[str] = ()) -> list[Node]:
    """Return the operations that compute a value from given ones, in order."""
    missing, found = {wanted} - set(given), []
    for node in reversed(list(nodes)):
        if not missing.isdisjoint(node.results):
            found.append(node)
            missing |= {*refs(node.operands), *refs(node.options)} - set(given)
    return found[::-1]


def evaluate(
    graph: Graph,
    rules: Mapping[str, Callable],
    weights: Mapping[str, Any],
    given: Mapping[str, Any],
    wanted: str,
) -> Any:
    """Return one value of the network.

    Args:
        rules: a function of the operands and options for each operation.
        weights: the arrays by name.
        given: values by name, the image among them unless the wanted value needs none.
        wanted: the name of the value.
    """
    values = {name: view(weights[name], order) for name, order in graph.orders}
    values = {**dict(graph.constants), **weights, **values, **given}
    nodes = needed(graph.nodes, wanted, given)
    last = {name: i for i, node in enumerate(nodes) for name in refs((node.operands, node.options))}

    def read(operand):
        if isinstance(operand, Ref):
            return values[operand.name]
        return tuple(map(read, operand)) if isinstance(operand, tuple) else operand

    for i, node in enumerate(nodes):
        options = {name: read(value) for name, value in node.options}
        results = rules[node.op](*read(node.operands), **options)
        single = len(node.results) == 1
        values.update(zip(node.results, [results] if single else results, strict=False))
        for name in {*refs(node.operands)}:  # what nobody needs any more may be freed
            if last[name] == i and name != wanted:
                del values[name]
    return values[wanted]
