"""A network's layers from its input to its logits, and the same network with some drawn anew."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fidojax import networks
from fidojax.networks import interception, weight_files
from fidojax.types import Classifier


def cascade(
    name: str, weights: Path | None, trained: Classifier, seed: int
) -> tuple[int, Callable[[int], Classifier]]:
    """A shipped network's number of layers, and the same network by the number drawn anew.

    Layers are drawn anew from the top, see `redrawn`.

    Args:
        name: a key of `fidojax.networks.SHIPPED`.
        weights: a file with other weights for it.
        trained: what `fidojax.networks.load` makes of them; all networks have its structure, so
            that nothing compiles again and features are named.
    """
    shipped = networks.SHIPPED[name]
    path = weights or networks.WEIGHTS / f"{name}.npz"
    arrays, order = weight_files.read(path), layer_order(shipped.network, shipped.size)

    def network(count: int) -> Classifier:
        changed = redrawn(jax.random.key(seed), arrays, order[len(order) - count :])
        leaves = jax.tree.leaves(weight_files.assemble(shipped.network, changed, path))
        return jax.tree.unflatten(jax.tree.structure(trained), leaves)

    return len(order), network


def levels_of(counts: Sequence[int], depth: int) -> dict[str, int]:
    """The numbers of layers that are drawn anew, by their title; none and all are always there.

    Args:
        counts: further numbers of layers; those beyond 1 to depth - 1 are left out.
        depth: the number of layers.
    """
    counts = sorted({0, depth, *(n for n in counts if 0 < n < depth)})
    names = {0: "none, other seed", depth: f"all {depth}"}
    return {names.get(count, f"top {count}"): count for count in counts}


def layer_order(network: Callable[[], nnx.Module], size: tuple[int, int, int]) -> list[str]:
    """The names of the layers with weights, "blocks/0/conv1/conv", in the order they are called.

    Args:
        network: builds it.
        size: (h, w, c) of its pictures.
    """
    order: list[str] = []

    def noting(name: str, layer: type) -> type:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            order.append(name.replace(".", "/"))
            return layer.__call__(self, *args, **kwargs)

        return type(layer.__name__, (layer,), {"__call__": call})

    def run(images: Any) -> Any:
        module: Any = network()
        for name, part in interception.nnx_layers(module).items():
            if hasattr(part, "kernel"):
                # Not by NNX's own __setattr__, which would record it.
                object.__setattr__(part, "__class__", noting(name, type(part)))
        return module(images)

    jax.eval_shape(run, jax.ShapeDtypeStruct((1, *size), jnp.float32))
    return order


def redrawn(
    key: jax.Array, arrays: Mapping[str, np.ndarray], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """The arrays of a network, as `weight_files.read` has them, with the named layers untrained.

    Kernels are normal of variance 2 / fan-out (He et al. 2015), as the convolutions of the shipped
    networks began, biases 0. A layer's draw depends on the key and its name alone, so that of two
    cascades the longer one holds the shorter.
    """
    initial = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
    changed = dict(arrays)
    for name in names:
        kernel, bias = f"{name}/kernel", f"{name}/bias"
        drawn = initial(jax.random.fold_in(key, _number(name)), arrays[kernel].shape)
        changed[kernel] = np.asarray(drawn, np.float32)
        if bias in arrays:
            changed[bias] = np.zeros_like(arrays[bias])
    return changed


def _number(name: str) -> int:
    return int.from_bytes(name.encode(), "big") % (2**31 - 1)
