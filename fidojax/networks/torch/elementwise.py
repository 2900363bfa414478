"""ATen's elementwise operations."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fidojax.networks.graph.view import elementwise


def _add(x: Any, y: Any, *, alpha: Any = 1) -> Any:
    return jnp.add(x, y if alpha == 1 else alpha * y)


def _subtract(x: Any, y: Any, *, alpha: Any = 1) -> Any:
    return jnp.subtract(x, y if alpha == 1 else alpha * y)


def _reverse_subtract(x: Any, y: Any, alpha: Any = 1) -> Any:
    return _subtract(y, x, alpha=alpha)


def _divide(x: Any, y: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return jnp.floor_divide(x, y)
    quotient = jnp.divide(x, y)
    if rounding_mode == "trunc":
        return jnp.trunc(quotient).astype(jnp.result_type(x, y))
    return quotient


def _clamp(x: Any, low: Any = None, high: Any = None) -> Any:
    if low is None or high is None:
        bound = high if low is None else low
        return x if bound is None else (jnp.minimum if low is None else jnp.maximum)(x, bound)
    return jnp.clip(x, low, high)


def _hardtanh(x: Any, low: float = -1.0, high: float = 1.0) -> Any:
    return jax.nn.relu6(x) if (low, high) == (0, 6) else jnp.clip(x, low, high)


def _gelu(x: Any, *, approximate: str = "none") -> Any:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def _elu(x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    return scale * jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0) * input_scale))


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return jnp.where(x * beta > threshold, x, jax.nn.softplus(x * beta) / beta)


def _threshold(x: Any, threshold: float, value: float) -> Any:
    return jnp.where(x > threshold, x, value)


def _leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    return jax.nn.leaky_relu(x, negative_slope)


def _prelu(x: Any, weight: Any) -> Any:
    return jnp.where(x > 0, x, weight * x)


def _prelu_of_channels(x: Any, weight: Any) -> Any:
    """Return PReLU whose weight has one number for each channel "n c ...", or one for all."""
    axes = (-1,) + (1,) * max(x.ndim - 2, 0)
    return RULES["_prelu_kernel"](x, jnp.reshape(weight, axes))


def _masked_fill(x: Any, mask: Any, value: Any) -> Any:
    return jnp.where(mask, jnp.asarray(value, x.dtype), x)


def _lerp(x: Any, y: Any, weight: Any) -> Any:
    return x + weight * (y - x)


def _addcmul(x: Any, y: Any, z: Any, *, value: Any = 1) -> Any:
    return x + value * y * z


_FUNCTIONS: dict[str, Callable] = {
    "abs": jnp.abs,
    "add": _add,
    "addcmul": _addcmul,
    "bitwise_and": jnp.bitwise_and,
    "bitwise_not": jnp.bitwise_not,
    "bitwise_or": jnp.bitwise_or,
    "ceil": jnp.ceil,
    "clamp": _clamp,
    "clamp_max": jnp.minimum,
    "clamp_min": jnp.maximum,
    "cos": jnp.cos,
    "div": _divide,
    "elu": _elu,
    "eq": jnp.equal,
    "erf": lax.erf,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "floor": jnp.floor,
    "floor_divide": jnp.floor_divide,
    "fmod": jnp.fmod,
    "ge": jnp.greater_equal,
    "gelu": _gelu,
    "gt": jnp.greater,
    "hardsigmoid": jax.nn.hard_sigmoid,
    "hardswish": jax.nn.hard_silu,
    "hardtanh": _hardtanh,
    "le": jnp.less_equal,
    "leaky_relu": _leaky_relu,
    "lerp": _lerp,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "log2": jnp.log2,
    "log_sigmoid": jax.nn.log_sigmoid,
    "logical_and": jnp.logical_and,
    "logical_not": jnp.logical_not,
    "logical_or": jnp.logical_or,
    "lt": jnp.less,
    "masked_fill": _masked_fill,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "mish": jax.nn.mish,
    "mul": jnp.multiply,
    "ne": jnp.not_equal,
    "neg": jnp.negative,
    "pow": jnp.power,
    "_prelu_kernel": _prelu,
    "reciprocal": jnp.reciprocal,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "remainder": jnp.remainder,
    "round": jnp.round,
    "rsqrt": lax.rsqrt,
    "rsub": _reverse_subtract,
    "sigmoid": jax.nn.sigmoid,
    "sign": jnp.sign,
    "silu": jax.nn.silu,
    "sin": jnp.sin,
    "softplus": _softplus,
    "sqrt": jnp.sqrt,
    "square": jnp.square,
    "sub": _subtract,
    "tanh": jnp.tanh,
    "threshold": _threshold,
    "where": jnp.where,
}

RULES = {name: elementwise(function) for name, function in _FUNCTIONS.items()}
RULES["max.other"], RULES["min.other"] = RULES["maximum"], RULES["minimum"]
RULES["prelu"] = _prelu_of_channels
RULES["getitem"] = operator.getitem
