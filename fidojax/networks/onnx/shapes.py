"""ONNX's operations on shapes, reductions and resizing."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.networks.graph import pooling, resizing, shapes
from fidojax.networks.graph.view import on_axes, on_plain, permuted, plain

LONGEST = 2**31 - 1


def _reshape(x: Any, *, shape: Sequence[int], allowzero: int = 0) -> Any:
    if not allowzero:
        shape = [x.shape[i] if n == 0 else n for i, n in enumerate(shape)]
    return shapes.reshape(x, shape)


def _flatten(x: Any, *, axis: int = 1) -> Any:
    rows = int(np.prod(x.shape[: axis % x.ndim if axis < 0 else axis]))
    return shapes.reshape(x, (rows, -1))


def _squeeze(x: Any, *, axes: Any = None) -> Any:
    axes = [i for i, n in enumerate(x.shape) if n == 1] if axes is None else axes
    gone = {axis % x.ndim for axis in axes}
    return shapes.reshape(x, [n for i, n in enumerate(x.shape) if i not in gone])


def _unsqueeze(x: Any, *, axes: Sequence[int]) -> Any:
    rank = x.ndim + len(axes)
    added = {axis % rank for axis in axes}
    lengths = iter(x.shape)
    return shapes.reshape(x, [1 if i in added else next(lengths) for i in range(rank)])


def _transpose(x: Any, *, perm: Sequence[int] | None = None) -> Any:
    return permuted(x, range(x.ndim)[::-1] if perm is None else perm)


def _slice(x: Any, *, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    axes = tuple(range(len(starts))) if axes is None else tuple(axes)
    steps = (1,) * len(axes) if steps is None else steps
    stops = [None if s < 0 and e < -LONGEST else e for e, s in zip(ends, steps, strict=True)]
    return shapes.cut(x, axes, starts, stops, steps)


def _split(
    x: Any, *, axis: int = 0, split: Any = None, num_outputs: int | None = None, results: int
) -> Any:
    if split is None:
        size = -(-x.shape[axis] // (num_outputs or results))
        split = [min(size, x.shape[axis] - at) for at in range(0, x.shape[axis], size)]
    starts = np.cumsum([0, *split])
    return tuple(
        shapes.cut(x, (axis,), (int(low),), (int(high),), (1,))
        for low, high in itertools.pairwise(starts)
    )


def _concat(*values: Any, axis: int) -> Any:
    return shapes.concatenate([x for x in values if x.size], axis)


def _expand(x: Any, *, shape: Sequence[int]) -> Any:
    x = plain(x)
    return jnp.broadcast_to(x, jnp.broadcast_shapes(x.shape, tuple(shape)))


def _tile(x: Any, *, repeats: Sequence[int]) -> Any:
    return jnp.tile(x, repeats)


def _pad(
    x: Any, *, pads: Sequence[int], value: Any = 0, axes: Any = None, mode: str = "constant"
) -> Any:
    axes = tuple(range(x.ndim)) if axes is None else axes
    half = len(pads) // 2
    return shapes.pad(x, axes, list(zip(pads[:half], pads[half:], strict=True)), mode, value or 0)


def _depth_to_space(x: Any, *, blocksize: int, mode: str = "DCR") -> Any:
    n, c, h, w = x.shape
    b, left = blocksize, c // blocksize**2
    if mode == "DCR":
        parts = permuted(shapes.reshape(x, (n, b, b, left, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        parts = permuted(shapes.reshape(x, (n, left, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return shapes.reshape(parts, (n, left, h * b, w * b))


def _space_to_depth(x: Any, *, blocksize: int) -> Any:
    n, c, h, w = x.shape
    b = blocksize
    parts = permuted(shapes.reshape(x, (n, c, h // b, b, w // b, b)), (0, 3, 5, 1, 2, 4))
    return shapes.reshape(parts, (n, c * b * b, h // b, w // b))


def _reduction(function: Callable) -> Callable:
    reduced = on_axes(lambda x, axes: function(x, axes))

    def rule(x: Any, *, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Any:
        if not axes:
            if noop_with_empty_axes:
                return x
            axes = range(x.ndim)
        y = reduced(x, tuple(axes))
        return y if keepdims else _squeeze(y, axes=tuple(axes))

    return rule


def _arg_max(x: Any, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    return jnp.argmax(x, axis, keepdims=bool(keepdims))


def _resize(
    x: Any,
    *,
    roi: Any = None,
    scales: Any = None,
    sizes: Any = None,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    antialias: int = 0,
    axes: Any = None,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
) -> Any:
    given = tuple(axes) if axes else tuple(range(x.ndim))
    factors = [1.0] * x.ndim
    lengths = list(x.shape)
    for i, axis in enumerate(given):
        if sizes:
            lengths[axis] = sizes[i]
            factors[axis] = sizes[i] / x.shape[axis]
        else:
            lengths[axis], factors[axis] = int(x.shape[axis] * scales[i]), scales[i]
    matrices = []
    for old, new, factor in zip(x.shape[2:], lengths[2:], factors[2:], strict=True):
        at = _coordinates(coordinate_transformation_mode, new, old, factor)
        if mode == "nearest":
            matrices.append(resizing.nearest(_rounded(at, nearest_mode), old))
        elif antialias and factor < 1:
            kernel = resizing.triangle_kernel if mode == "linear" else resizing.cubic_kernel
            support = 1.0 if mode == "linear" else 2.0
            matrices.append(resizing.antialiased(at, old, 1 / factor, kernel, support))
        elif mode == "linear":
            matrices.append(resizing.linear(at, old))
        else:
            matrices.append(resizing.cubic(at, old, cubic_coeff_a))
    return resizing.resize(x, matrices)


def _coordinates(mode: str, new: int, old: int, factor: float) -> np.ndarray:
    places = np.arange(new)
    if mode == "align_corners":
        return resizing.centres(new, old, True)
    if mode == "asymmetric":
        return places / factor
    if mode == "pytorch_half_pixel" and new == 1:
        return np.zeros(1)
    at = (places + 0.5) / factor - 0.5
    if mode == "half_pixel_symmetric":
        at = at + old / 2 * (1 - new / (factor * old))
    return at


def _rounded(at: np.ndarray, mode: str) -> np.ndarray:
    return {
        "round_prefer_floor": lambda: np.ceil(at - 0.5),
        "round_prefer_ceil": lambda: np.floor(at + 0.5),
        "floor": lambda: np.floor(at),
        "ceil": lambda: np.ceil(at),
    }[mode]()


def _upsample(x: Any, *, scales: Sequence[float], mode: str = "nearest") -> Any:
    return _resize(
        x, scales=scales, mode=mode, coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )  # fmt: skip


def _cum_sum(x: Any, *, axis: int, exclusive: int = 0, reverse: int = 0) -> Any:
    x = jnp.flip(x, axis) if reverse else x
    y = jnp.cumsum(x, axis)
    y = y - x if exclusive else y
    return jnp.flip(y, axis) if reverse else y


def _trilu(x: Any, *, k: int = 0, upper: int = 1) -> Any:
    return jnp.triu(x, k) if upper else jnp.tril(x, k)


RULES: dict[str, Callable] = {
    "ArgMax": on_plain(_arg_max),
    "Concat": _concat,
    "CumSum": on_plain(_cum_sum),
    "DepthToSpace": _depth_to_space,
    "Dropout": lambda x, **_: x,
    "Expand": _expand,
    "Flatten": _flatten,
    "Pad": _pad,
    "ReduceL1": _reduction(lambda x, axes: jnp.abs(x).sum(axes, keepdims=True)),
    "ReduceL2": _reduction(lambda x, axes: jnp.sqrt(jnp.square(x).sum(axes, keepdims=True))),
    "ReduceLogSumExp": _reduction(lambda x, axes: jax.nn.logsumexp(x, axis=axes, keepdims=True)),
    "ReduceMax": _reduction(lambda x, axes: pooling.maximum(x, axes, True)),
    "ReduceMean": _reduction(lambda x, axes: x.mean(axes, keepdims=True)),
    "ReduceMin": _reduction(lambda x, axes: -pooling.maximum(-x, axes, True)),
    "ReduceProd": _reduction(lambda x, axes: x.prod(axes, keepdims=True)),
    "ReduceSum": _reduction(lambda x, axes: x.sum(axes, keepdims=True)),
    "ReduceSumSquare": _reduction(lambda x, axes: jnp.square(x).sum(axes, keepdims=True)),
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": on_plain(_tile),
    "Transpose": _transpose,
    "Trilu": on_plain(_trilu),
    "Unsqueeze": _unsqueeze,
    "Upsample": _upsample,
}
