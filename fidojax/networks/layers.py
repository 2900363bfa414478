"""A convolution with batch norm, and networks without it that compute the same."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class ConvNorm(nnx.Module):
    """A convolution followed by batch norm (`norm=True`), or with a bias (`norm=False`)."""

    def __init__(
        self, c_in, c_out, kernel, stride, *, norm: bool, rngs: nnx.Rngs, scale: float = 1.0
    ):
        he = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
        self.conv = nnx.Conv(
            c_in, c_out, (kernel, kernel), stride, use_bias=not norm, kernel_init=he, rngs=rngs
        )
        constant = nnx.initializers.constant(scale)
        self.norm = (
            nnx.BatchNorm(c_out, momentum=0.9, scale_init=constant, rngs=rngs) if norm else None
        )

    def __call__(self, x: Float[Array, "n h w c"], train: bool) -> Float[Array, "n h2 w2 c2"]:
        x = self.conv(x)
        return x if self.norm is None else self.norm(x, use_running_average=not train)

    def fold_into(self, plain: Any) -> None:
        """Set the arrays of the layer with a bias: scale (conv(x) - mean) / sd + bias."""
        norm: Any = self.norm  # its arrays are optional in the types only
        gain = norm.scale[...] / jnp.sqrt(norm.var[...] + norm.epsilon)
        plain.conv.kernel.set_value(self.conv.kernel[...] * gain)
        plain.conv.bias.set_value(norm.bias[...] - norm.mean[...] * gain)


def fold(network: Any) -> Any:
    """Return the same function with parameters only, the statistics of batch norm folded in.

    Args:
        network: keeps each batch norm in the attribute `norm` of a module with a method
            `fold_into`, and in `config` the arguments of its class, which also takes `norm=False`.

    Raises:
        ValueError: the network has no batch norm.
    """
    # Abstract, so that no weights are drawn which would be replaced at once.
    plain = nnx.eval_shape(lambda: type(network)(*network.config, norm=False, rngs=nnx.Rngs(0)))
    counterparts: dict[tuple, Any] = dict(nnx.iter_graph(plain))
    modules = {path: part for path, part in nnx.iter_graph(network) if isinstance(part, nnx.Module)}
    for path, module in modules.items():
        if hasattr(module, "kernel"):
            nnx.update(counterparts[path], nnx.state(module, nnx.Param))
    for path, module in modules.items():
        normed: Any = module
        if hasattr(normed, "fold_into"):
            if not isinstance(normed.norm, nnx.BatchNorm):
                raise ValueError("fold needs a network with norm=True")
            normed.fold_into(counterparts[path])
    return plain
