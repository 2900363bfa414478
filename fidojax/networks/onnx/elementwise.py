"""ONNX's elementwise operations."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fidojax.networks.graph.view import elementwise


def _clip(x: Any, *, min: Any = None, max: Any = None) -> Any:
    if min == 0 and max == 6:
        return jax.nn.relu6(x)
    if min == 0 and max is None:
        return jax.nn.relu(x)
    return jnp.clip(x, min, max)


def _divide(x: Any, y: Any) -> Any:
    if jnp.issubdtype(jnp.result_type(x, y), jnp.integer):
        return lax.div(*jnp.broadcast_arrays(x, y))
    return jnp.divide(x, y)


def _modulo(x: Any, y: Any, *, fmod: int = 0) -> Any:
    return jnp.fmod(x, y) if fmod else jnp.remainder(x, y)


def _elu(x: Any, *, alpha: float = 1.0) -> Any:
    return jax.nn.elu(x, alpha)


def _celu(x: Any, *, alpha: float = 1.0) -> Any:
    return jax.nn.celu(x, alpha)


_SELU = 1.67326319217681884765625, 1.05070102214813232421875


def _selu(x: Any, *, alpha: float = _SELU[0], gamma: float = _SELU[1]) -> Any:
    return gamma * jax.nn.elu(x, alpha)


def _leaky_relu(x: Any, *, alpha: float = 0.01) -> Any:
    return jax.nn.leaky_relu(x, alpha)


def _thresholded_relu(x: Any, *, alpha: float = 1.0) -> Any:
    return jnp.where(x > alpha, x, 0)


def _prelu(x: Any, slope: Any) -> Any:
    return jnp.where(x < 0, slope * x, x)


def _hard_sigmoid(x: Any, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return jnp.clip(alpha * x + beta, 0, 1)


def _gelu(x: Any, *, approximate: str = "none") -> Any:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def cast(x: Any, *, to: Any, **_: Any) -> Any:
    """Return the values in a type; wider weights than the file's keep their precision."""
    wanted: Any = jax.dtypes.canonicalize_dtype(to)
    if jnp.issubdtype(x.dtype, jnp.floating) and wanted in (jnp.float32, jnp.float64):
        wanted = jnp.promote_types(x.dtype, wanted)
    return x.astype(wanted)


def _cast_like(x: Any, y: Any, **_: Any) -> Any:
    return cast(x, to=y.dtype)


def _all_of(function: Callable) -> Callable:
    def of_all(*operands: Any) -> Any:
        return functools.reduce(function, operands)

    return of_all


def _mean(*operands: Any) -> Any:
    return functools.reduce(jnp.add, operands) / np.float32(len(operands))


_FUNCTIONS: dict[str, Callable] = {
    "Abs": jnp.abs,
    "Add": jnp.add,
    "And": jnp.logical_and,
    "Cast": cast,
    "CastLike": _cast_like,
    "Ceil": jnp.ceil,
    "Celu": _celu,
    "Clip": _clip,
    "Cos": jnp.cos,
    "Div": _divide,
    "Elu": _elu,
    "Equal": jnp.equal,
    "Erf": lax.erf,
    "Exp": jnp.exp,
    "Floor": jnp.floor,
    "Gelu": _gelu,
    "Greater": jnp.greater,
    "GreaterOrEqual": jnp.greater_equal,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": jax.nn.hard_silu,
    "Identity": lambda x: x,
    "LeakyRelu": _leaky_relu,
    "Less": jnp.less,
    "LessOrEqual": jnp.less_equal,
    "Log": jnp.log,
    "Max": _all_of(jnp.maximum),
    "Mean": _mean,
    "Min": _all_of(jnp.minimum),
    "Mish": jax.nn.mish,
    "Mod": _modulo,
    "Mul": jnp.multiply,
    "Neg": jnp.negative,
    "Not": jnp.logical_not,
    "Or": jnp.logical_or,
    "Pow": jnp.power,
    "PRelu": _prelu,
    "Reciprocal": jnp.reciprocal,
    "Relu": jax.nn.relu,
    "Round": jnp.round,
    "Selu": _selu,
    "Sigmoid": jax.nn.sigmoid,
    "Sign": jnp.sign,
    "Sin": jnp.sin,
    "Softplus": jax.nn.softplus,
    "Softsign": jax.nn.soft_sign,
    "Sqrt": jnp.sqrt,
    "Sub": jnp.subtract,
    "Sum": _all_of(jnp.add),
    "Tan": jnp.tan,
    "Tanh": jnp.tanh,
    "ThresholdedRelu": _thresholded_relu,
    "Where": jnp.where,
    "Xor": jnp.logical_xor,
}

RULES = {name: elementwise(function) for name, function in _FUNCTIONS.items()}
