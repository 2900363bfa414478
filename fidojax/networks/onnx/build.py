"""The operations of an ONNX file as nodes of a graph, those on constants alone computed."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.networks.graph.graph import Node, Ref
from fidojax.networks.graph.view import plain
from fidojax.networks.onnx.table import RULES, STATIC


class Builder:
    """Adds a file's operations one by one, and knows the shape of every value.

    Attributes:
        nodes: the operations that depend on the picture.
        known: the arrays of the file and what it computes from them alone.
        names: the value of each operation -> the operation's name in the file.
    """

    def __init__(self, path: Path, opset: int) -> None:
        self.path = path
        self.opset = opset
        self.nodes: list[Node] = []
        self.known: dict[str, np.ndarray] = {}
        self.names: dict[str, str] = {}
        self._shapes: dict[str, Any] = {}

    def add_constants(self, tensors: Iterable[Any]) -> None:
        """Add the file's arrays."""
        to_array = importlib.import_module("onnx.numpy_helper").to_array
        self.known.update((tensor.name, to_array(tensor)) for tensor in tensors)

    def add_image(self, name: str, size: tuple[int, int, int], channels_last: bool) -> None:
        """Add the input for one picture."""
        height, width, channels = size
        sides = size if channels_last else (channels, height, width)
        self._shapes[name] = jax.ShapeDtypeStruct((1, *sides), jnp.float32)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a value for one picture."""
        found = self.known[name] if name in self.known else self._shapes[name]
        return tuple(found.shape)

    def add(self, node: Any) -> None:
        """Add an operation: compute it now if the picture does not matter, else as a node.

        Raises:
            ValueError: the operation has no rule, or does not fit its operands.
        """
        if node.op_type in ("Shape", "Size") and node.input[0] not in self.known:
            shape = self.shape(node.input[0])
            attributes = _attributes(node)
            cut = shape[attributes.get("start", 0) : attributes.get("end")]
            array = np.prod(shape) if node.op_type == "Size" else np.asarray(cut)
            self.known[node.output[0]] = np.asarray(array, np.int64)
        elif all(name in self.known for name in node.input if name):
            self._fold(node)
        elif node.op_type not in RULES or node.domain not in ("", "ai.onnx"):
            name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise ValueError(
                f"from_onnx: {self.path} uses the operation {name}, which has no rule; export the"
                " network with other operations (in float, without control flow)"
            )
        else:
            try:
                self._add(node)
            except (TypeError, ValueError, KeyError, IndexError) as error:
                line = str(error).strip().split("\n")[0]
                raise ValueError(
                    f"from_onnx: {self.path}: the operation {node.op_type} {node.name!r} cannot be"
                    f" computed: {line}"
                ) from error

    def _fold(self, node: Any) -> None:
        onnx = importlib.import_module("onnx")
        reference = importlib.import_module("onnx.reference").ReferenceEvaluator
        given = {name: self.known[name] for name in node.input if name}
        kinds = {
            name: onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in given.items()
        }
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "constants", list(kinds.values()), outputs)
        opsets = [onnx.helper.make_opsetid("", self.opset)]
        model = onnx.helper.make_model(graph, opset_imports=opsets)
        results = reference(model).run(None, given)
        names = [name for name in node.output if name]
        self.known.update(zip(names, map(np.asarray, results), strict=True))

    def _add(self, node: Any) -> None:
        options = _attributes(node)
        names = [*node.input]
        static = STATIC.get(node.op_type, ())
        if node.op_type == "Resize" and self.opset < 11:
            static = ("scales",)
            options |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        for option, name in zip(static, names[1:], strict=False):
            if name and name not in self.known:
                raise ValueError(f"its {option} depends on the picture, expected constants")
            if name and self.known[name].size:
                options[option] = _python(option, self.known[name])
        operands = [self._operand(name) for name in (names[:1] if static else names)]
        if node.op_type == "Split":
            options["results"] = len(node.output)
        if node.op_type in ("Softmax", "LogSoftmax") and self.opset < 13:
            options = {"axis": 1, "flat": True, **options}
        if node.op_type == "GroupNormalization" and self.opset < 21:
            options["per_group"] = True
        if node.op_type in ("Cast", "CastLike") and "to" in options:
            options["to"] = _type_name(options["to"])
        op = "Identity" if node.op_type == "Split" and len(node.output) == 1 else node.op_type
        options = {} if op == "Identity" else options
        results = tuple(node.output) if op == "Split" else (node.output[0],)
        made = Node(op, tuple(operands), tuple(sorted(options.items())), results)
        found = self._evaluated(made)
        self._shapes.update(zip(results, found, strict=True))
        self.nodes.append(made)
        self.names[results[0]] = node.name

    def _operand(self, name: str) -> Any:
        if not name:
            return None
        if name in self.known and not self.known[name].ndim:
            return self.known[name].item()
        return Ref(name)

    def _evaluated(self, node: Node) -> list[Any]:
        """Return the shapes and types of an operation's results."""
        shapes = {}
        for each in node.operands:
            if isinstance(each, Ref):
                found = self.known.get(each.name, self._shapes.get(each.name))
                if found is None:
                    raise ValueError(f"nothing gives its operand {each.name}")
                dtype = jax.dtypes.canonicalize_dtype(found.dtype)
                shapes[each.name] = jax.ShapeDtypeStruct(found.shape, dtype)

        def results(values):
            read = [values[x.name] if isinstance(x, Ref) else x for x in node.operands]
            found = RULES[node.op](*read, **dict(node.options))
            return [plain(x) for x in (found if len(node.results) > 1 else [found])]

        return jax.eval_shape(results, shapes)


def _attributes(node: Any) -> dict[str, Any]:
    """Return the attributes as Python values."""
    value_of = importlib.import_module("onnx").helper.get_attribute_value
    found = {}
    for attribute in node.attribute:
        value = value_of(attribute)
        value = value.decode() if isinstance(value, bytes) else value
        found[attribute.name] = tuple(value) if isinstance(value, list) else value
    return found


def _python(option: str, array: np.ndarray) -> Any:
    if option in ("min", "max", "value", "axis", "k", "ratio", "training_mode"):
        return array.item()
    return tuple(array.ravel().tolist())


def _type_name(number: int) -> str:
    return str(importlib.import_module("onnx").helper.tensor_dtype_to_np_dtype(number))
