"""ONNX's operations that read and write values at places."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fidojax.networks.graph import shapes
from fidojax.networks.graph.view import on_plain, plain


def _gather(x: Any, places: Any, *, axis: int = 0) -> Any:
    if isinstance(places, int):
        return shapes.take_one(x, axis, places)
    return jnp.take(plain(x), plain(places), axis=axis, mode="wrap")


def _gather_elements(x: Any, places: Any, *, axis: int = 0) -> Any:
    return jnp.take_along_axis(x, places, axis=axis)


def _gather_nd(x: Any, places: Any, *, batch_dims: int = 0) -> Any:
    gather = _at
    for _ in range(batch_dims):
        gather = jax.vmap(gather)
    return gather(x, places)


def _at(x: Any, places: Any) -> Any:
    return x[tuple(jnp.moveaxis(places, -1, 0))]


def _scatter_nd(x: Any, places: Any, values: Any, *, reduction: str = "none") -> Any:
    return _scattered(x, tuple(jnp.moveaxis(places, -1, 0)), values, reduction)


def _scatter_elements(
    x: Any, places: Any, values: Any, *, axis: int = 0, reduction: str = "none"
) -> Any:
    index = list(jnp.indices(places.shape, sparse=True))
    index[axis] = places
    return _scattered(x, tuple(index), values, reduction)


def _scattered(x: Any, index: tuple, values: Any, reduction: str) -> Any:
    at = jnp.asarray(x).at[index]
    ways = {"none": at.set, "add": at.add, "mul": at.multiply, "max": at.max, "min": at.min}
    return ways[reduction](values)


RULES: dict[str, Callable] = {
    "Gather": _gather,
    "GatherElements": on_plain(_gather_elements),
    "GatherND": on_plain(_gather_nd),
    "ScatterElements": on_plain(_scatter_elements),
    "ScatterND": on_plain(_scatter_nd),
}
