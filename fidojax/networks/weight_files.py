"""Weights on disk: an .npz of plain arrays, one per parameter, never a pickle.

Arrays are named by their path in the network with "/" between ("conv1/kernel"; kernels HWIO).
They are stored as float16 and computed with in float32.
"""

import functools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial


def save(path: str | Path, network: nnx.Module) -> None:
    """Writes the parameters as float16.

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
    with open(path, "wb") as file:
        np.savez(file, **named)


def restore(path: str | Path, network: Callable[[], nnx.Module]) -> Partial:
    """The function that `network()` computes, with the weights of a file that `save` wrote.

    Two calls with the same `network` differ in their arrays only, so a compiled function takes
    new weights without tracing again.

    Raises:
        ValueError: the file's arrays do not fit the network.
        FileNotFoundError: there is no such file.
    """
    return assemble(network, read(path), path)


def assemble(
    network: Callable[[], nnx.Module], arrays: Mapping[str, np.ndarray], path: str | Path
) -> Partial:
    """What `restore` does, with the arrays that were read from `path`."""
    graph, expected = _skeleton(network)
    shapes = {_name(key): leaf.shape for key, leaf in nnx.to_flat_state(expected)}
    if arrays.keys() != shapes.keys():
        missing = sorted(shapes.keys() - arrays.keys())
        extra = sorted(arrays.keys() - shapes.keys())
        raise ValueError(f"weights {path} lack the arrays {missing} and have unknown ones {extra}")
    for name, array in arrays.items():
        if array.shape != shapes[name] or not np.issubdtype(array.dtype, np.floating):
            raise ValueError(
                f"weights {path}: {name} must be floating with shape {shapes[name]}, "
                f"got {array.dtype} with shape {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"weights {path}: {name} must be finite")
    flat = [
        (key, leaf.replace(jnp.asarray(arrays[_name(key)], jnp.float32)))
        for key, leaf in nnx.to_flat_state(expected)
    ]
    return Partial(_apply, graph, nnx.from_flat_state(flat))


def _apply(graph: Any, params: Any, *inputs: Any) -> Any:
    return nnx.merge(graph, params)(*map(jnp.asarray, inputs))


@functools.cache
def _skeleton(network: Callable[[], nnx.Module]) -> tuple[Any, Any]:
    """Structure and shapes, without drawing weights; the same object each time: no retracing."""
    return nnx.split(nnx.eval_shape(network))


def _name(key: tuple) -> str:
    return "/".join(str(part) for part in key)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; raises as `restore` does."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights {path}: there is no such file, expected an .npz")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, zipfile.BadZipFile, AttributeError, EOFError, TypeError) as error:
        raise ValueError(f"weights {path}: expected an .npz of plain arrays") from error
