"""From a PyTorch module to a graph and its weights, by `torch.export`."""

import copy
import warnings
from typing import Any

import numpy as np

from fidojax.networks.graph.channels import ChannelAxes, store_kernels
from fidojax.networks.graph.graph import Graph, Layer, Node, Ref
from fidojax.networks.torch import constants, paths
from fidojax.networks.torch.library import import_torch
from fidojax.networks.torch.table import RULES, name_of


def export(module: Any, size: tuple[int, int, int]) -> tuple[Graph, dict[str, np.ndarray]]:
    """Return the graph of a module for one picture, and its weights by name.

    Args:
        module: a `torch.nn.Module`, which stays as it is.
        size: (h, w, c) of the pictures.

    Raises:
        ValueError: PyTorch cannot export the module, it does not return logits "1 k", or an
            operation has no rule.
    """
    program = _decomposed(module, size)
    logits = _logits(module, program)
    folded = constants.fold(program)
    nodes = _needed(program, logits, folded)
    unknown = sorted({op for node in nodes if (op := _name(node)) not in RULES})
    if unknown:
        raise ValueError(
            f"from_torch: {type(module).__name__} uses the operation {', '.join(unknown)} of ATen,"
            " which has no rule; write this part of the module with other operations"
        )
    weights, structure, names = constants.read(program, folded, nodes)
    scalars = {name: array.item() for name, array in structure.items() if not array.ndim}
    plain = [_node(node, names, scalars) for node in nodes]
    weights, orders = store_kernels(plain, weights, _convolves)
    axes = ChannelAxes(plain)
    layers = {path: _value(node) for path, node in paths.find(nodes).items()}
    graph = Graph(
        nodes=tuple(plain),
        image=_value(_image(program)),
        logits=_value(logits),
        size=size,
        orders=tuple(orders.items()),
        constants=tuple((name, a) for name, a in structure.items() if a.ndim),
        layers=tuple((path, Layer(name, axes[name])) for path, name in layers.items()),
    )
    return graph, weights


def _decomposed(module: Any, size: tuple[int, int, int]) -> Any:
    """Return the module's program at test time; what has no rule is in terms of core ATen."""
    torch = import_torch()
    height, width, channels = size
    try:
        module = copy.deepcopy(module).to("cpu").eval()
        floats = [p for p in module.parameters() if p.is_floating_point()]
        for parameter in floats:  # without gradients, PyTorch fuses whole transformer layers
            parameter.requires_grad_(True)
        dtype = floats[0].dtype if floats else torch.float32
        image = torch.zeros(1, channels, height, width, dtype=dtype)
        table = torch.export.default_decompositions()
        for operation in list(table):
            if name_of(operation.name().replace("::", ".")) in RULES:
                table.pop(operation)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of PyTorch's use of PyTorch
            program = torch.export.export(module, (image,), strict=False)
            return program.run_decompositions(table)
    except Exception as error:  # whatever the module's own code raises, too
        line = str(error).strip().split("\n")[0]
        raise ValueError(
            f"from_torch: torch.export fails on {type(module).__name__} at a picture"
            f" (1, {channels}, {height}, {width}): {type(error).__name__}: {line}; pass"
            " size=(h, w, c) as the module takes it, or a module that takes one tensor"
        ) from error


def _image(program: Any) -> Any:
    inputs = program.graph_signature.user_inputs
    (image,) = [node for node in program.graph.nodes if node.name in inputs]
    return image


def _logits(module: Any, program: Any) -> Any:
    """Return the node of the logits: the only output, or the one with that name."""
    (output,) = [node for node in program.graph.nodes if node.op == "output"]
    values = list(output.args[0])
    names = program.call_spec.out_spec.context
    if isinstance(names, list) and len(names) == len(values) and "logits" in names:
        values = [values[names.index("logits")]]
    shapes = [tuple(getattr(getattr(v, "meta", {}).get("val"), "shape", ())) for v in values]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][0] != 1:
        raise ValueError(
            f"from_torch: {type(module).__name__} returns {', '.join(map(str, shapes))} for one"
            " picture, expected logits (1, k); wrap it in a module that returns these alone"
        )
    return values[0]


def _needed(program: Any, logits: Any, folded: dict[Any, Any]) -> list[Any]:
    """Return the operations that the logits need and that are no constants, in order."""
    reached, front = set(), [logits]
    while front:
        node = front.pop()
        if node not in reached and node not in folded and node.op == "call_function":
            reached.add(node)
            front += node.all_input_nodes
    return [node for node in program.graph.nodes if node in reached]


def _convolves(node: Node) -> bool:
    return node.op in ("conv1d", "conv2d", "conv3d") or (
        node.op == "convolution" and not node.operands[6]
    )


def _is_node(operand: Any) -> bool:
    return hasattr(operand, "all_input_nodes")


def _name(node: Any) -> str:
    target = node.target
    return "getitem" if getattr(target, "__name__", "") == "getitem" else name_of(str(target))


def _value(node: Any) -> str:
    """Return the name of a node's value; no weight's name begins like this."""
    return f"%{node.name}"


def _node(node: Any, names: dict[Any, str], scalars: dict[str, Any]) -> Node:
    """Return an operation of the graph: its rule, its operands as plain data."""

    def plain(operand):
        if _is_node(operand):
            name = names.get(operand)
            return scalars[name] if name in scalars else Ref(name or _value(operand))
        if isinstance(operand, list | tuple):
            return tuple(map(plain, operand))
        if operand is None or isinstance(operand, bool | int | float | str):
            return operand
        return str(operand).removeprefix("torch.")  # types, devices and layouts

    options = tuple((name, plain(value)) for name, value in sorted(node.kwargs.items()))
    return Node(_name(node), tuple(map(plain, node.args)), options, (_value(node),))
