"""What a PyTorch program computes from constants alone, and the arrays that it reads."""

from collections.abc import Collection, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from fidojax.networks.torch.library import import_torch


def fold(program: Any) -> dict[Any, Any]:
    """Return the tensors of all nodes that depend neither on the image nor on a weight.

    Masks of windows and tables of positions are made so; whole numbers in buffers count as
    constants, other buffers as weights.
    """
    torch = import_torch()
    signature = program.graph_signature
    known: dict[Any, Any] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            tensor = _constant(program, signature, node.name)
            if tensor is not None:
                known[node] = tensor
        elif node.op == "call_function" and all(each in known for each in node.all_input_nodes):
            args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
            with torch.no_grad():
                known[node] = node.target(*args, **kwargs)
    return known


def _constant(program: Any, signature: Any, name: str) -> Any:
    if name in signature.inputs_to_lifted_tensor_constants:
        return program.constants[signature.inputs_to_lifted_tensor_constants[name]]
    buffer = signature.inputs_to_buffers.get(name)
    if buffer is None:
        return None
    tensor = _tensor(program, buffer)
    return None if tensor.is_floating_point() else tensor


def _tensor(program: Any, name: str) -> Any:
    return program.state_dict[name] if name in program.state_dict else program.constants[name]


def read(
    program: Any, folded: Mapping[Any, Any], nodes: Collection[Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[Any, str]]:
    """Return the weights by name, the constants by name, and the name of each node that is either.

    Weights are the numbers of parameters and buffers, and constants with several numbers. Whole
    numbers and single numbers are part of the structure.
    """
    signature = program.graph_signature
    weights, structure, names = {}, {}, {}
    for node in dict.fromkeys(operand for each in nodes for operand in each.all_input_nodes):
        if node in folded:
            array, names[node] = as_numpy(folded[node]), f"constant:{node.name}"
            several = array.ndim and np.issubdtype(array.dtype, np.inexact)
            (weights if several else structure)[names[node]] = array
        else:
            stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
            name = stored.get(node.name) if node.op == "placeholder" else None
            if name is not None:
                weights[name], names[node] = as_numpy(_tensor(program, name)), name
    return weights, structure, names


def as_numpy(tensor: Any) -> np.ndarray:
    """Return a copy of a tensor as an array of its type."""
    torch = import_torch()
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16).copy()
    return tensor.numpy().copy()
