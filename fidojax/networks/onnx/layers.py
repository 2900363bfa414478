"""ONNX's convolutions, pooling, normalisations and matrix products."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fidojax.networks.graph import convolution, normalisation, pooling
from fidojax.networks.graph.view import channels_last, from_channels_last, on_plain, plain


def _edges(
    auto_pad: str, pads: Sequence[int] | None, sizes: Sequence[int], window: Sequence[int],
    strides: Sequence[int], dilations: Sequence[int],
) -> list[tuple[int, int]]:  # fmt: skip
    """Return the padding (before, after) of each axis."""
    axes = len(window)
    if auto_pad in ("NOTSET", "") and pads is not None:
        return list(zip(pads[:axes], pads[axes:], strict=True))
    if auto_pad in ("NOTSET", "", "VALID"):
        return [(0, 0)] * axes
    edges = []
    for n, k, s, d in zip(sizes, window, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        less, more = total // 2, total - total // 2
        edges.append((less, more) if auto_pad == "SAME_UPPER" else (more, less))
    return edges


def _conv(
    x: Any, kernel: Any, bias: Any = None, *, auto_pad: str = "NOTSET", dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    ones = (1,) * (x.ndim - 2)
    window, strides, dilations = kernel.shape[2:], strides or ones, dilations or ones
    edges = _edges(auto_pad, pads, x.shape[2:], window, strides, dilations)
    return convolution.convolution(
        x, kernel, bias, strides=strides, pads=edges, dilations=dilations, groups=group
    )


def _conv_transpose(
    x: Any, kernel: Any, bias: Any = None, *, auto_pad: str = "NOTSET", dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, output_padding: Any = None,
    output_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    axes = x.ndim - 2
    ones = (1,) * axes
    window, strides, dilations = kernel.shape[2:], strides or ones, dilations or ones
    more = output_padding or (0,) * axes
    if auto_pad.startswith("SAME") and output_shape is None:
        output_shape = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    if output_shape is None:
        edges = _edges("NOTSET", pads, x.shape[2:], window, strides, dilations)
    else:
        edges = []
        given = zip(
            x.shape[2:], window, strides, dilations, more, output_shape[-axes:], strict=True
        )
        for n, k, s, d, extra, new in given:
            total = s * (n - 1) + extra + d * (k - 1) + 1 - new
            less, rest = total // 2, total - total // 2
            edges.append((rest, less) if auto_pad == "SAME_LOWER" else (less, rest))
    return convolution.transposed_convolution(
        x, kernel, bias, strides=strides, pads=edges, more=more, dilations=dilations, groups=group
    )


def _max_pool(
    x: Any, *, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Any = None, pads: Any = None, storage_order: int = 0, strides: Any = None,
) -> Any:  # fmt: skip
    ones = (1,) * (x.ndim - 2)
    strides, dilations = strides or ones, dilations or ones
    edges = _edges(auto_pad, pads, x.shape[2:], kernel_shape, strides, dilations)
    if ceil_mode:
        edges = pooling.ceiling(x.shape[2:], kernel_shape, strides, edges, dilations)
    return pooling.max_pool(x, kernel_shape, strides, edges, dilations)


def _average_pool(
    x: Any, *, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    ones = (1,) * (x.ndim - 2)
    strides, dilations = strides or ones, dilations or ones
    counted = edges = _edges(auto_pad, pads, x.shape[2:], kernel_shape, strides, dilations)
    if ceil_mode:
        edges = pooling.ceiling(x.shape[2:], kernel_shape, strides, edges, dilations)
    counted = counted if count_include_pad else None
    return pooling.average_pool(x, kernel_shape, strides, edges, counted, dilations=dilations)


def _global_average_pool(x: Any) -> Any:
    return pooling.adaptive_average_pool(x, (1,) * (x.ndim - 2))


def _global_max_pool(x: Any) -> Any:
    image = channels_last(x)
    return from_channels_last(pooling.maximum(image, tuple(range(1, x.ndim - 1)), True))


def _batch_norm(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, *, epsilon: float = 1e-5,
    momentum: float = 0.9, training_mode: int = 0,
) -> Any:  # fmt: skip
    return normalisation.batch_norm(x, weight, bias, mean, variance, epsilon)


def _instance_norm(x: Any, weight: Any, bias: Any, *, epsilon: float = 1e-5) -> Any:
    return normalisation.group_norm(x, x.shape[1], weight, bias, epsilon)


def _group_norm(
    x: Any, weight: Any, bias: Any, *, num_groups: int, epsilon: float = 1e-5,
    per_group: bool = False, stash_type: int = 1,
) -> Any:  # fmt: skip
    if per_group:  # until opset 20
        channels = x.shape[1] // num_groups
        weight, bias = jnp.repeat(weight, channels), jnp.repeat(bias, channels)
    return normalisation.group_norm(x, num_groups, weight, bias, epsilon)


def _layer_norm(
    x: Any, weight: Any, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Any:  # fmt: skip
    return normalisation.layer_norm(x, x.ndim - axis % x.ndim, weight, bias, epsilon)


def _lp_normalization(x: Any, *, axis: int = -1, p: int = 2) -> Any:
    total = jnp.square(x) if p == 2 else jnp.abs(x)
    total = total.sum(axis, keepdims=True)
    return x / (jnp.sqrt(total) if p == 2 else total)


def _lrn(x: Any, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Any:
    image = channels_last(x)
    square = jnp.square(image)
    low = (size - 1) // 2
    padded = jnp.pad(square, [(0, 0)] * (x.ndim - 1) + [(low, size - 1 - low)])
    total = sum(padded[..., i : i + image.shape[-1]] for i in range(size))
    return from_channels_last(image / (bias + alpha / size * total) ** beta)


def _gemm(
    x: Any, y: Any, bias: Any = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Any:  # fmt: skip
    product = jnp.matmul(x.T if transA else x, y.T if transB else y)
    product = product if alpha == 1 else alpha * product
    return product if bias is None else product + (bias if beta == 1 else beta * bias)


def _softmax(x: Any, *, axis: int = -1, flat: bool = False) -> Any:
    return _over_axes(jax.nn.softmax, x, axis, flat)


def _log_softmax(x: Any, *, axis: int = -1, flat: bool = False) -> Any:
    return _over_axes(jax.nn.log_softmax, x, axis, flat)


def _over_axes(function: Any, x: Any, axis: int, flat: bool) -> Any:
    """Apply a softmax over one axis or, until opset 12, over this axis and all that follow."""
    if not flat:
        return function(x, axis=axis)
    axis = axis % x.ndim
    return function(x.reshape(math.prod(x.shape[:axis]), -1), axis=1).reshape(x.shape)


def _einsum(*operands: Any, equation: str) -> Any:
    return jnp.einsum(equation, *[plain(x) for x in operands])


RULES = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
    "Gemm": on_plain(_gemm),
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LogSoftmax": on_plain(_log_softmax),
    "LpNormalization": on_plain(_lp_normalization),
    "LRN": _lrn,
    "MatMul": on_plain(jnp.matmul),
    "MaxPool": _max_pool,
    "Softmax": on_plain(_softmax),
}
