"""Which value of an exported program is the output of which submodule."""

from collections.abc import Collection
from typing import Any


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
