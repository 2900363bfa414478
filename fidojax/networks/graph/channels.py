"""Which axis of a picture in a graph holds its channels, and kernels stored for XLA."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fidojax.networks.graph.convolution import KERNEL_ORDERS, kernel_axes
from fidojax.networks.graph.graph import Node, Ref, refs

_FIRST = {
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "_native_batch_norm_legit_no_training",
    "conv2d", "conv_transpose2d", "convolution", "group_norm", "max_pool2d",
    "max_pool2d_with_indices", "pixel_shuffle", "upsample_bicubic2d", "upsample_bilinear2d",
    "upsample_nearest2d",
    "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "GlobalAveragePool",
    "GroupNormalization", "InstanceNormalization", "MaxPool", "Resize",
}  # fmt: skip
"""Operations of PyTorch and of ONNX whose pictures are "n c h w"."""
_LAST = {"layer_norm", "linear", "rms_norm", "Gemm", "LayerNormalization", "MatMul"}
"""Operations whose channels are the last axis."""
_MOVED: dict[tuple[int, ...], int] = {(0, 3, 1, 2): 1, (0, 2, 3, 1): 3}
"""A permutation that moves the channels -> the axis where they are then."""
_SHAPED = {"view", "reshape", "_unsafe_view", "select", "unbind", "flatten", "Reshape", "Flatten"}
"""Operations after which nothing is known any more."""


class ChannelAxes:
    """The axis of the channels of every value of a graph, by what comes before it or follows."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.producer = {name: node for node in nodes for name in node.results}
        self.consumers: dict[str, list[Node]] = {}
        for node in nodes:
            for name in refs(node.operands):
                self.consumers.setdefault(name, []).append(node)

    def __getitem__(self, value: str) -> int:
        """Return 1 or 3; 1 if nothing decides."""
        for node in self._walk(value, self._before):
            if (axis := _axis(node)) is not None:
                return axis
        for node in self._walk(value, self._after):
            if (axis := _axis(node)) is not None:
                return 4 - axis if _permutation(node) else axis
        return 1

    def _before(self, value: str) -> Iterator[tuple[Node, list[str]]]:
        if value in self.producer:
            node = self.producer[value]
            yield node, list(refs(node.operands))

    def _after(self, value: str) -> Iterator[tuple[Node, list[str]]]:
        for node in self.consumers.get(value, []):
            yield node, list(node.results)

    def _walk(self, value: str, step: Callable) -> Iterator[Node]:
        seen, front = {value}, [value]
        while front:
            for node, neighbours in step(front.pop(0)):
                yield node
                if node.op not in _SHAPED:
                    front += [name for name in neighbours if name not in seen]
                    seen.update(neighbours)


def _axis(node: Node) -> int | None:
    moved = _permutation(node)
    if moved is not None:
        return _MOVED.get(moved)
    return 1 if node.op in _FIRST else 3 if node.op in _LAST else None


def _permutation(node: Node) -> tuple[int, ...] | None:
    if node.op == "permute":
        return tuple(axis % 4 for axis in node.operands[1])
    return dict(node.options).get("perm") if node.op == "Transpose" else None


def store_kernels(
    nodes: Sequence[Node], weights: Mapping[str, np.ndarray], convolves: Callable[[Node], bool]
) -> tuple[dict[str, np.ndarray], dict[str, tuple[int, ...]]]:
    """Return the weights with kernels stored "h w i o", and the order of each of these.

    Args:
        convolves: whether an operation is a convolution, whose second operand is the kernel.
    """
    kernels: dict[str, bool] = {}
    for node in nodes:
        for place, operand in enumerate(node.operands):
            for name in refs((operand,)):
                kernel = place == 1 and isinstance(operand, Ref) and convolves(node)
                kernels[name] = kernels.get(name, True) and kernel
        for name in refs(node.options):
            kernels[name] = False
    stored: dict[str, Any] = dict(weights)
    orders = {}
    for name in weights:
        if kernels.get(name) and weights[name].ndim in KERNEL_ORDERS:
            rank = weights[name].ndim
            orders[name] = KERNEL_ORDERS[rank]
            stored[name] = np.ascontiguousarray(weights[name].transpose(kernel_axes(rank)))
    return stored, orders
