"""A network of the tables, and weights for it that cost no time."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

CLASSES = 10
"""Classes of all networks but those that fix their number."""


class Model(NamedTuple):
    """A network.

    Attributes:
        name: in the tables.
        library: whose network it is.
        adapter: the function of `fidojax.networks` that makes it a classifier.
        side: of the square pictures, the smallest that the network accepts.
        build: makes the classifier, which shows the features of a late layer.
        small: all methods are traced, not one of each kind.
        grid: (rows, columns) of the patches of a transformer that has more tokens before them than
            one for the class.
    """

    name: str
    library: str
    adapter: str
    side: int
    build: Callable[[], Any]
    small: bool = False
    grid: tuple[int, int] | None = None


_DRAWN = np.random.default_rng(0).standard_normal(2**16).astype(np.float32)


def weights(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array of normal numbers, scaled by the size of a layer's input.

    Vectors, the scales, shifts and moments of normalisations, are in 0.5 to 1.5.
    """
    if not np.issubdtype(dtype, np.inexact) and str(dtype) != "bfloat16":
        return np.zeros(shape, dtype)
    size = math.prod(shape)
    drawn = np.resize(_DRAWN, size).reshape(shape)
    stacked = len(shape) == 2 and min(shape) < 4  # vectors of the steps of a scan
    if stacked or sum(side > 1 for side in shape) < 2:
        return np.clip(1 + drawn / 8, 0.5, 1.5).astype(dtype)
    return (drawn * math.sqrt(max(shape) / size)).astype(dtype)


def filled(tree: Any) -> Any:
    """Return a pytree of shapes, as `jax.eval_shape` makes it, with drawn weights."""
    return jax.tree.map(_filled, tree, is_leaf=lambda x: isinstance(x, jax.ShapeDtypeStruct))


def _filled(leaf: Any) -> Any:
    if not isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        key = jax.random.key(0)
        return jax.random.split(key, leaf.shape) if leaf.shape else key
    return jax.numpy.asarray(weights(leaf.shape, leaf.dtype))
