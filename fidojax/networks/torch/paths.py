"""Which value of an exported program is the output of which submodule."""

from collections.abc import Collection
from typing import Any

from fidojax.networks.torch.table import name_of

_FIRST = {
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "_native_batch_norm_legit_no_training",
    "conv2d", "conv_transpose2d", "convolution", "group_norm", "max_pool2d",
    "max_pool2d_with_indices", "pixel_shuffle", "upsample_bicubic2d", "upsample_bilinear2d",
    "upsample_nearest2d",
}  # fmt: skip
"""Operations whose pictures are "n c h w"."""
_LAST = {"layer_norm", "linear", "rms_norm"}
"""Operations whose channels are the last axis."""
_MOVED = {(0, 3, 1, 2): 1, (0, 2, 3, 1): 3}
"""How a permutation that moves the channels leaves them, and the axis where they are then."""
_SHAPED = {"view", "reshape", "_unsafe_view", "select", "unbind", "flatten", "unflatten"}


def find(nodes: Collection[Any]) -> dict[str, Any]:
    """Return the node of the output of each submodule's first call, by its path.

    It is the last one that the submodule computes for others.
    """
    calls: dict[str, str] = {}
    inside: dict[str, list[Any]] = {}
    for node in nodes:
        for key, (path, _) in node.meta.get("nn_module_stack", {}).items():
            if path and calls.setdefault(path, key) == key:
                inside.setdefault(path, []).append(node)
    outputs = {}
    for path, members in inside.items():
        own = set(members)
        leaving = [node for node in members if not own.issuperset(node.users)]
        outputs[path] = leaving[-1] if leaving else members[-1]
    return outputs


def channel_axis(node: Any) -> int:
    """Return which axis of a picture in the program holds its channels: 1 or 3.

    What comes before it says so, or what follows.
    """
    seen = {node}
    for neighbours, after in ((_before, False), (_after, True)):
        front = [node]
        while front:
            each = front.pop()
            axis = _axis(each, after and each is not node)
            if axis is not None:
                return axis
            if name_of(str(each.target)) not in _SHAPED:
                front += [n for n in neighbours(each) if n not in seen and n.op == "call_function"]
                seen.update(neighbours(each))
        seen = {node}
    return 1


def _before(node: Any) -> list[Any]:
    return [n for n in node.all_input_nodes if len(getattr(n.meta.get("val"), "shape", ())) == 4]


def _after(node: Any) -> list[Any]:
    return list(node.users)


def _axis(node: Any, after: bool) -> int | None:
    name = name_of(str(node.target))
    if name == "permute":
        moved = _MOVED.get(tuple(axis % 4 for axis in node.args[1]))
        return moved if moved is None or not after else 4 - moved
    return 1 if name in _FIRST else 3 if name in _LAST else None
