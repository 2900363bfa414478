"""Scaled dot product attention, and matrix products."""

import math
from typing import Any

import jax
import jax.numpy as jnp


def attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    shared_heads: bool = False,
) -> Any:
    """Return softmax(query key^T scale + mask) value, over the last two axes.

    Args:
        mask: added to the products if a number, or which keys count if a boolean.
        shared_heads: whether keys and values have fewer heads, each for several queries.
    """
    if shared_heads:
        key, value = (jnp.repeat(x, query.shape[-3] // x.shape[-3], axis=-3) for x in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    weights = (query * scale) @ jnp.swapaxes(key, -1, -2)
    if causal:
        mask = jnp.tril(jnp.ones(weights.shape[-2:], bool))
    if mask is not None:
        bias = jnp.where(mask, 0.0, -jnp.inf) if mask.dtype == bool else mask
        weights = weights + bias.astype(weights.dtype)
    return jax.nn.softmax(weights, axis=-1) @ value


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Return x weight^T + bias over the last axis, with a weight "o i"."""
    y = jnp.matmul(x, weight.T)
    return y if bias is None else y + bias
