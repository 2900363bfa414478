"""Weights on disk: .npz files of plain arrays, one per parameter, never a pickle.

An array is named by its path in the network ("conv1/kernel"; kernels HWIO). Arrays are stored as
float16 and loaded as float32. Batch norm is folded into kernels and biases first.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from fidojax.core import Bound, printable
from fidojax.data import ArrayHeader, npz_headers, read_npz, write_atomically


def save(path: str | Path, network: nnx.Module) -> None:
    """Write the parameters of a network as float16.

    Raises:
        ValueError: the network holds more than parameters: batch norm must be folded first.
    """
    graph, params, rest = nnx.split(network, nnx.Param, ...)
    del graph
    if jax.tree.leaves(rest):
        raise ValueError("network holds more than parameters: fold its batch norm before saving")
    named: dict[str, Any] = {
        _name(key): np.asarray(leaf[...], np.float16) for key, leaf in nnx.to_flat_state(params)
    }
    # An open file, since np.savez appends ".npz" to a name that lacks it.
    write_atomically(path, lambda file: np.savez(file, **named))


def restore(path: str | Path, network: Callable[[], nnx.Module]) -> Partial:
    """Return the function that `network()` computes, with the weights of a file that `save` wrote.

    The results of two calls with the same `network` differ only in their arrays, so that a compiled
    function takes new weights without retracing.

    Raises:
        ValueError: the file's arrays do not fit the network.
        FileNotFoundError: there is no such file.
    """
    _check(network, headers(path), path)
    return assemble(network, read(path), path)


def assemble(
    network: Callable[[], nnx.Module], arrays: Mapping[str, np.ndarray], path: str | Path
) -> Partial:
    """Return what `restore` returns, given the arrays that were read from `path`.

    Raises:
        ValueError: the arrays do not fit the network.
    """
    graph, expected = _check(network, arrays, path)
    # Converted and put as they are: `jnp.asarray` compiles a program for every shape.
    flat = [
        (key, leaf.replace(jax.device_put(arrays[_name(key)].astype(np.float32))))
        for key, leaf in nnx.to_flat_state(expected)
    ]
    return Bound(_apply, graph, nnx.from_flat_state(flat))


def _check(
    network: Callable[[], nnx.Module],
    arrays: Mapping[str, np.ndarray] | Mapping[str, ArrayHeader],
    path: str | Path,
) -> tuple[Any, Any]:
    """Compare names, shapes and types with those of the network, and return its skeleton."""
    said = f"weights {printable(path)}"
    try:
        graph, expected = _skeleton(network)
    except Exception as error:  # a network whose sizes were inferred from a damaged file
        raise ValueError(f"{said}: no network has arrays of these shapes") from error
    shapes = {_name(key): leaf.shape for key, leaf in nnx.to_flat_state(expected)}
    if arrays.keys() != shapes.keys():
        missing = _listed(shapes.keys() - arrays.keys())
        extra = _listed(arrays.keys() - shapes.keys())
        raise ValueError(f"{said} lack the arrays {missing} and have unknown ones {extra}")
    for name, array in arrays.items():
        if array.shape != shapes[name] or not np.issubdtype(array.dtype, np.floating):
            raise ValueError(
                f"{said}: {name} must be floating with shape {shapes[name]}, "
                f"got {array.dtype} with shape {array.shape}"
            )
    return graph, expected


def _listed(names: Iterable[str], most: int = 5) -> str:
    """The first names in brackets, since a file may hold thousands."""
    found = [printable(name) for name in sorted(names)]
    return str(found[:most]).replace("]", ", ...]") if len(found) > most else str(found)


def _apply(graph: Any, params: Any, *inputs: Any) -> Any:
    return nnx.merge(graph, params)(*map(jnp.asarray, inputs))


@functools.cache
def _skeleton(network: Callable[[], nnx.Module]) -> tuple[Any, Any]:
    """Return the structure and the shapes of a network, the same object at each call."""
    return nnx.split(nnx.eval_shape(network))


def _name(key: tuple) -> str:
    return "/".join(str(part) for part in key)


def headers(path: str | Path) -> dict[str, ArrayHeader]:
    """Return the shapes and types of the arrays of an .npz file by name; no values are read.

    Raises:
        ValueError: the file is damaged.
        FileNotFoundError: there is no such file.
    """
    return npz_headers(path, "weights")


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name.

    Raises:
        ValueError: the file is damaged, or holds other things than real, finite numbers.
        FileNotFoundError: there is no such file.
    """
    return read_npz(path, "weights")
