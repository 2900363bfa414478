"""ATen's convolutions, pooling, normalisations, attention and matrix products."""

from typing import Any

import jax
import jax.numpy as jnp

from fidojax.networks.graph import attention, convolution, normalisation, pooling
from fidojax.networks.graph.view import on_plain, plain


def _spread(value: Any, axes: int) -> tuple:
    """Return one number for each axis, where ATen takes a number, or a list of one."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,)
    return values * axes if len(values) == 1 else values


def _convolution(
    x: Any, kernel: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Any:  # fmt: skip
    axes = x.ndim - 2
    dilations = _spread(dilation, axes)
    if isinstance(padding, str):
        total = [d * (k - 1) for k, d in zip(kernel.shape[2:], dilations, strict=True)]
        pads = [(0, 0) if padding == "valid" else (n // 2, n - n // 2) for n in total]
    else:
        pads = [(n, n) for n in _spread(padding, axes)]
    return convolution.convolution(
        x, kernel, bias, strides=_spread(stride, axes), pads=pads, dilations=dilations,
        groups=groups,
    )  # fmt: skip


def _transposed(
    x: Any, kernel: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    axes = x.ndim - 2
    return convolution.transposed_convolution(
        x, kernel, bias, strides=_spread(stride, axes),
        pads=[(n, n) for n in _spread(padding, axes)], more=_spread(output_padding, axes),
        dilations=_spread(dilation, axes), groups=groups,
    )  # fmt: skip


def _either(
    x: Any, kernel: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Any:  # fmt: skip
    if transposed:
        return _transposed(x, kernel, bias, stride, padding, output_padding, groups, dilation)
    return _convolution(x, kernel, bias, stride, padding, dilation, groups)


def _pads(x: Any, window, stride, padding, dilation, ceil: bool) -> Any:
    pads = [(n, n) for n in _spread(padding, x.ndim - 2)]
    return pooling.ceiling(x.shape[2:], window, stride, pads, dilation) if ceil else pads


def _max_pool(
    x: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:  # fmt: skip
    axes = x.ndim - 2
    window = _spread(kernel_size, axes)
    strides, dilations = _spread(stride, axes) or window, _spread(dilation, axes)
    pads = _pads(x, window, strides, padding, dilations, ceil_mode)
    return pooling.max_pool(x, window, strides, pads, dilations)


def _average_pool(
    x: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    axes = x.ndim - 2
    window = _spread(kernel_size, axes)
    strides = _spread(stride, axes) or window
    pads = _pads(x, window, strides, padding, (1,) * axes, ceil_mode)
    counted = [(n, n) for n in _spread(padding, axes)] if count_include_pad else None
    return pooling.average_pool(x, window, strides, pads, counted, divisor_override)


def _adaptive_average_pool(x: Any, size: Any) -> Any:
    return pooling.adaptive_average_pool(x, _sizes(x, size))


def _adaptive_max_pool(x: Any, size: Any) -> Any:
    return pooling.adaptive_max_pool(x, _sizes(x, size)), None


def _sizes(x: Any, size: Any) -> list[int]:
    given = zip(_spread(size, x.ndim - 2), x.shape[2:], strict=True)
    return [old if new is None else new for new, old in given]


def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, variance: Any, *rest: Any) -> Any:
    epsilon = rest[-1] if isinstance(rest[-1], float) else rest[-2]  # batch_norm ends in cudnn
    return normalisation.batch_norm(x, weight, bias, mean, variance, epsilon)


def _batch_norm_and_statistics(*operands: Any) -> Any:
    return _batch_norm(*operands), None, None


def _layer_norm(
    x: Any, shape: tuple, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Any:
    return normalisation.layer_norm(x, len(shape), weight, bias, eps)


def _group_norm(
    x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Any:
    return normalisation.group_norm(x, groups, weight, bias, eps)


def _instance_norm(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, use_input: bool, momentum: float,
    eps: float, *_: Any,
) -> Any:  # fmt: skip
    if not use_input:
        return normalisation.batch_norm(x, weight, bias, mean, variance, eps)
    return normalisation.group_norm(x, x.shape[1], weight, bias, eps)


def _rms_norm(x: Any, shape: tuple, weight: Any = None, eps: float | None = None) -> Any:
    eps = float(jnp.finfo(x.dtype).eps) if eps is None else eps
    return normalisation.rms_norm(x, len(shape), weight, eps)


def _attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, *, scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    return attention.attention(
        query, key, value, attn_mask, causal=is_causal, scale=scale, shared_heads=enable_gqa
    )


def _add_product(bias: Any, x: Any, y: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return beta * bias + alpha * jnp.matmul(x, y)


def _softmax(x: Any, dim: int, *_: Any, **__: Any) -> Any:
    return jax.nn.softmax(x, axis=dim)


def _log_softmax(x: Any, dim: int, *_: Any, **__: Any) -> Any:
    return jax.nn.log_softmax(x, axis=dim)


def _einsum(equation: str, operands: Any, **_: Any) -> Any:
    return jnp.einsum(equation, *[plain(x) for x in operands])


def _norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, **_: Any) -> Any:
    axes = tuple(range(x.ndim)) if dim is None else _spread(dim, 1)
    if ord == 2:
        return jnp.sqrt(jnp.square(x).sum(axes, keepdims=keepdim))
    if ord == 1:
        return jnp.abs(x).sum(axes, keepdims=keepdim)
    return (jnp.abs(x) ** ord).sum(axes, keepdims=keepdim) ** (1 / ord)


RULES = {
    "adaptive_avg_pool1d": _adaptive_average_pool,
    "adaptive_avg_pool2d": _adaptive_average_pool,
    "_adaptive_avg_pool2d": _adaptive_average_pool,
    "adaptive_max_pool2d": _adaptive_max_pool,
    "addmm": on_plain(_add_product),
    "avg_pool1d": _average_pool,
    "avg_pool2d": _average_pool,
    "baddbmm": on_plain(_add_product),
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm_and_statistics,
    "bmm": on_plain(jnp.matmul),
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv_transpose1d": _transposed,
    "conv_transpose2d": _transposed,
    "convolution": _either,
    "dot": on_plain(jnp.dot),
    "einsum": _einsum,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "linalg_vector_norm": on_plain(_norm),
    "linear": on_plain(attention.linear),
    "log_softmax": on_plain(_log_softmax),
    "_log_softmax": on_plain(_log_softmax),
    "matmul": on_plain(jnp.matmul),
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "max_pool2d_with_indices": lambda *operands: (_max_pool(*operands), None),
    "mm": on_plain(jnp.matmul),
    "mv": on_plain(jnp.matmul),
    "rms_norm": on_plain(_rms_norm),
    "scaled_dot_product_attention": on_plain(_attention),
    "softmax": on_plain(_softmax),
    "_softmax": on_plain(_softmax),
}
