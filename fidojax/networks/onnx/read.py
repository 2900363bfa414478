"""From an ONNX file to a graph and its weights."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fidojax.networks.graph.channels import ChannelAxes, store_kernels
from fidojax.networks.graph.graph import Graph, Layer, Node, refs
from fidojax.networks.onnx.build import Builder

OPSETS = range(9, 22)


def import_onnx() -> Any:
    """Return the module `onnx`.

    Raises:
        ImportError: it is missing.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise ImportError("ONNX files need the package onnx: pip install onnx") from error


def read(path: Path, size: tuple[int, int, int] | None) -> tuple[Graph, dict[str, np.ndarray]]:
    """Return the graph of a file for one picture, and its weights by name; see `from_onnx`."""
    model, opset = _load(path)
    image, size, last = _picture(path, model.graph, size)
    builder = Builder(path, opset)
    builder.add_constants(model.graph.initializer)
    builder.add_image(image, size, last)
    for node in model.graph.node:
        builder.add(node)
    logits = _logits(path, model.graph, builder)
    reached, nodes = {logits}, []
    for node in reversed(builder.nodes):
        if not reached.isdisjoint(node.results):
            nodes.insert(0, node)
            reached |= {*refs(node.operands), *refs(node.options)}
    used = {name: builder.known[name] for name in reached & builder.known.keys()}
    weights = {n: a for n, a in used.items() if np.issubdtype(a.dtype, np.inexact)}
    weights, orders = store_kernels(nodes, weights, lambda node: node.op == "Conv")
    graph = Graph(
        nodes=tuple(nodes),
        image=image,
        logits=logits,
        size=size,
        orders=tuple(sorted(orders.items())),
        constants=tuple(sorted((n, a) for n, a in used.items() if n not in weights)),
        layers=tuple(_layers(nodes, builder.names)),
        channels_last=last,
    )
    return graph, {name: weights[name] for name in sorted(weights)}


def _load(path: Path) -> tuple[Any, int]:
    """Return the model, without local functions, and its opset."""
    onnx = import_onnx()
    if not path.is_file():
        raise FileNotFoundError(f"from_onnx: no file {path}")
    try:
        model = onnx.load(path)
        if model.functions:
            model = importlib.import_module("onnx.inliner").inline_local_functions(model)
    except Exception as error:  # protobuf's own error, or one of the files beside it
        line = str(error).strip().split("\n")[0]
        raise ValueError(f"from_onnx: {path} cannot be read as ONNX: {line}") from error
    opsets = {each.domain: each.version for each in model.opset_import}
    opset = opsets.get("", opsets.get("ai.onnx"))
    if not model.graph.node or opset is None:
        raise ValueError(f"from_onnx: {path} is no ONNX file, or holds no network")
    if opset not in OPSETS:
        raise ValueError(
            f"from_onnx: {path} has opset {opset}, expected {OPSETS[0]} to {OPSETS[-1]}; export it"
            " with such an opset, or use onnx.version_converter.convert_version(model, 17)"
        )
    return model, opset


def _picture(
    path: Path, graph: Any, size: tuple[int, int, int] | None
) -> tuple[str, tuple[int, int, int], bool]:
    """Return the name of the input, (h, w, c), and whether its channels are last."""
    stored = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in stored]
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs)
        raise ValueError(
            f"from_onnx: {path} has the inputs ({names}), expected one batch of pictures"
        )
    kind = inputs[0].type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    if len(dims) != 4 or dims[0] not in (None, 0, 1, -1) or kind.elem_type not in (1, 10, 11, 16):
        shown = tuple("free" if n is None else n for n in dims)
        raise ValueError(
            f"from_onnx: the input {inputs[0].name!r} of {path} is {shown}, expected pictures of"
            " floating numbers, n x c x h x w or n x h x w x c with n free or 1"
        )
    sides = [n if n and n > 0 else None for n in dims[1:]]
    last = sides[2] in (1, 3, 4) and sides[0] not in (1, 3, 4)
    own = sides if last else [*sides[1:], sides[0]]
    given = own if size is None else size
    if None in given or any(o not in (None, n) for o, n in zip(own, given, strict=True)):
        shown = tuple("free" if n is None else n for n in own)
        what = "pass size=(h, w, c)" if size is None else f"got size={tuple(size)}"
        raise ValueError(f"from_onnx: {path} takes pictures of (h, w, c) = {shown}; {what}")
    height, width, channels = (int(n) for n in given if n is not None)
    return inputs[0].name, (height, width, channels), last


def _logits(path: Path, graph: Any, builder: Builder) -> str:
    """Return the value of the logits: an output "1 k", or what its softmax is computed from."""
    shapes = {each.name: builder.shape(each.name) for each in graph.output}
    found = [name for name, shape in shapes.items() if len(shape) == 2 and shape[0] == 1]
    found = found if len(found) == 1 else [name for name in found if name == "logits"]
    if not found:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"from_onnx: {path} gives {listed} for one picture, expected one output of logits"
            " (1, k)"
        )
    (name,) = found
    producer = {result: node for node in builder.nodes for result in node.results}
    while name in producer and producer[name].op in ("Softmax", "Sigmoid", "Identity"):
        (name,) = refs(producer[name].operands)
    return name


def _layers(nodes: list[Node], names: Mapping[str, str]) -> list[tuple[str, Layer]]:
    """Return the values by their names and by those of the operations that give them."""
    axes, found = ChannelAxes(nodes), {}
    for node in nodes:
        value = node.results[0]
        for name in (names.get(value), value):
            if name:
                found.setdefault(name, Layer(value, axes[value]))
    return list(found.items())
