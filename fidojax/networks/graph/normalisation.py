"""Normalisations of values "n c ..."."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from fidojax.networks.graph.view import channels_last, from_channels_last, plain


def batch_norm(x: Any, weight: Any, bias: Any, mean: Any, variance: Any, epsilon: float) -> Any:
    """Return the batch norm by its running averages."""
    scale = lax.rsqrt(variance + epsilon)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return from_channels_last(channels_last(x) * scale + shift)


def layer_norm(
    x: Any, axes: int, weight: Any = None, bias: Any = None, epsilon: float = 1e-5
) -> Any:
    """Return the layer norm over the last axes, as many as `axes` says."""
    x = plain(x)
    y = _standardised(x, tuple(range(x.ndim - axes, x.ndim)), epsilon)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def group_norm(x: Any, groups: int, weight: Any, bias: Any, epsilon: float) -> Any:
    """Return the group norm; a group is of neighbouring channels."""
    image = channels_last(x)
    parts = image.reshape(*image.shape[:-1], groups, -1)
    axes = (*range(1, image.ndim - 1), image.ndim)
    y = _standardised(parts, axes, epsilon).reshape(image.shape)
    y = y if weight is None else y * weight
    return from_channels_last(y if bias is None else y + bias)


def rms_norm(x: Any, axes: int, weight: Any = None, epsilon: float = 1e-6) -> Any:
    """Return the values over the root of their mean square, over the last axes."""
    x = plain(x)
    square = jnp.square(x).mean(tuple(range(x.ndim - axes, x.ndim)), keepdims=True)
    y = x * lax.rsqrt(square + epsilon)
    return y if weight is None else y * weight


def _standardised(x: Any, axes: Sequence[int], epsilon: float) -> Any:
    centred = x - x.mean(axes, keepdims=True)
    variance = jnp.square(centred).mean(axes, keepdims=True)
    return centred * lax.rsqrt(variance + epsilon)
