"""Short texts of classifiers and infillers: names and settings, and the number of their weights."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import Partial

SHORT = 60
"""Characters: settings with a longer text are called by their type."""
FEW = 4
"""Arrays of at most this many values are shown."""


def shown(self: Any) -> str:
    """Return a function with what is bound to it, or a callable object, as one line of text.

    The name is that of the function, or that of the object's file. Many arrays are counted. A class
    whose `__repr__` this is may hold others.
    """
    if isinstance(self, functools.partial):
        name = getattr(self.func, "__name__", type(self.func).__name__).strip("_")
        bound = [*self.args, *self.keywords.values()]
        parts = [_part(value) for value in bound if value is not None]
        parts = [part for part in parts if part != "()"]
    else:
        name = type(self).__module__.rpartition(".")[2]
        parts = [f"{field}={_part(value)}" for field, value in vars(self).items()]
    return f"{name}({', '.join(filter(None, parts))})"


class Bound(Partial):
    """`jax.tree_util.Partial` with a short text: a function and its weights as a pytree."""

    def __repr__(self) -> str:
        return shown(self)


jax.tree_util.register_pytree_node(
    Bound,
    lambda bound: ((bound.args, bound.keywords), bound.func),
    lambda function, parts: Bound(function, *parts[0], **parts[1]),
)


def _part(value: Any) -> str:
    if type(value).__repr__ is shown or isinstance(value, functools.partial):
        return shown(value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array(value)
    nodes = getattr(value, "nodes", None)
    if type(value).__name__ == "GraphDef" and nodes:  # of Flax NNX: the class of the module
        return nodes[0].type.__name__
    leaves = [leaf for leaf in jax.tree.leaves(value) if hasattr(leaf, "shape")]
    if leaves:
        return f"{len(leaves)} arrays of {sum(math.prod(leaf.shape) for leaf in leaves):,} values"
    text = getattr(value, "__name__", None) or repr(value)
    return text if len(text) <= SHORT else type(value).__name__


def _array(array: Any) -> str:
    few = math.prod(array.shape) <= FEW and not isinstance(array, Tracer)
    if few and jnp.issubdtype(array.dtype, jnp.number):
        values = ", ".join(f"{value:g}" for value in np.ravel(array))
        return f"[{values}]" if array.shape else values
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]"
