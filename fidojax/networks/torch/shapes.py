"""ATen's operations on shapes and places, and its reductions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fidojax.networks.graph import pooling, shapes
from fidojax.networks.graph.view import on_axes, on_plain, permuted, plain, view


def _squeeze(x: Any, dims: Any = None) -> Any:
    dims = range(x.ndim) if dims is None else dims if isinstance(dims, tuple) else (dims,)
    gone = {axis % x.ndim for axis in dims}
    return shapes.reshape(x, [n for i, n in enumerate(x.shape) if i not in gone or n != 1])


def _unsqueeze(x: Any, dim: int) -> Any:
    shape = list(x.shape)
    shape.insert(dim % (x.ndim + 1), 1)
    return shapes.reshape(x, shape)


def _transpose(x: Any, first: int, second: int) -> Any:
    axes = list(range(x.ndim))
    axes[first], axes[second] = axes[second], axes[first]
    return permuted(x, axes)


def _matrix_transpose(x: Any) -> Any:
    return permuted(x, range(x.ndim)[::-1])


def _expand(x: Any, sizes: Any, **_: Any) -> Any:
    x = plain(x)
    old = (1,) * (len(sizes) - x.ndim) + x.shape
    return jnp.broadcast_to(x, [o if n == -1 else n for n, o in zip(sizes, old, strict=True)])


def _flatten(x: Any, start: int = 0, end: int = -1) -> Any:
    start, end = start % x.ndim, end % x.ndim
    return shapes.reshape(x, (*x.shape[:start], -1, *x.shape[end + 1 :]))


def _slice(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return shapes.cut(x, (dim,), (start,), (end,), (step,))


def _split(x: Any, sizes: Any, dim: int = 0) -> Any:
    length = x.shape[dim]
    if isinstance(sizes, int):
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(
        shapes.cut(x, (dim,), (start,), (start + size,), (1,))
        for start, size in zip(starts, sizes, strict=True)
    )


def _chunk(x: Any, chunks: int, dim: int = 0) -> Any:
    return _split(x, -(-x.shape[dim] // chunks), dim)


def _unbind(x: Any, dim: int = 0) -> Any:
    return tuple(shapes.take_one(x, dim, place) for place in range(x.shape[dim]))


def _concatenate(values: Any, dim: int = 0) -> Any:
    return shapes.concatenate([x for x in values if x.shape != (0,)], dim)


def _stack(values: Any, dim: int = 0) -> Any:
    return jnp.stack([plain(x) for x in values], dim)


def _constant_pad(x: Any, widths: Any, value: Any = 0) -> Any:
    return _pad(x, widths, "constant", value)


def _pad(x: Any, widths: Any, mode: str = "constant", value: Any = None) -> Any:
    pairs = [(widths[i], widths[i + 1]) for i in range(0, len(widths), 2)]
    axes = tuple(range(-1, -1 - len(pairs), -1))
    mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    return shapes.pad(x, axes, pairs, mode, value or 0)


def _index(x: Any, places: Any) -> Any:
    index = tuple(slice(None) if place is None else plain(place) for place in places)
    return plain(x)[index]


def _index_put(x: Any, places: Any, values: Any, accumulate: bool = False) -> Any:
    index = tuple(slice(None) if place is None else plain(place) for place in places)
    at = plain(x).at[index]
    return at.add(plain(values)) if accumulate else at.set(plain(values))


def _slice_scatter(
    x: Any, source: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    index = [slice(None)] * x.ndim
    index[dim] = slice(start, end, step)
    return x.at[tuple(index)].set(source)


def _select_scatter(x: Any, source: Any, dim: int, place: int) -> Any:
    index: list[Any] = [slice(None)] * x.ndim
    index[dim] = place
    return x.at[tuple(index)].set(source)


def _copy(x: Any, source: Any, *_: Any) -> Any:
    return jnp.broadcast_to(jnp.asarray(source, x.dtype), x.shape)


def _index_select(x: Any, dim: int, places: Any) -> Any:
    return jnp.take(x, places, axis=dim)


def _embedding(weight: Any, places: Any, *_: Any) -> Any:
    return jnp.take(weight, places, axis=0)


def _gather(x: Any, dim: int, places: Any, **_: Any) -> Any:
    return jnp.take_along_axis(x, places, axis=dim)


def _roll(x: Any, shifts: Any, dims: Any = ()) -> Any:
    return jnp.roll(x, shifts, dims)


def _repeat(x: Any, repeats: Any) -> Any:
    return jnp.tile(x, repeats)


def _pixel_shuffle(x: Any, factor: int) -> Any:
    n, c, h, w = x.shape
    parts = shapes.reshape(x, (n, c // factor**2, factor, factor, h, w))
    parts = permuted(parts, (0, 1, 4, 2, 5, 3))
    return shapes.reshape(parts, (n, c // factor**2, h * factor, w * factor))


def _pixel_unshuffle(x: Any, factor: int) -> Any:
    n, c, h, w = x.shape
    parts = shapes.reshape(x, (n, c, h // factor, factor, w // factor, factor))
    parts = permuted(parts, (0, 1, 3, 5, 2, 4))
    return shapes.reshape(parts, (n, c * factor**2, h // factor, w // factor))


def _channel_shuffle(x: Any, groups: int) -> Any:
    n, c, *space = x.shape
    parts = shapes.reshape(x, (n, groups, c // groups, *space))
    return shapes.reshape(_transpose(parts, 1, 2), x.shape)


def _reduction(function: Callable) -> Callable:
    """Return ATen's reduction `(x, dim, keepdim)` over all axes, over one, or over several."""

    @on_axes
    def reduced(x, axes, dtype):
        return function(x if dtype is None else cast(x, dtype), axes, keepdims=True)

    def rule(x: Any, dim: Any = None, keepdim: bool = False, *_: Any, dtype: Any = None) -> Any:
        dims = (dim,) if isinstance(dim, int) else dim or tuple(range(x.ndim))
        y = reduced(x, tuple(dims), dtype)
        return y if keepdim else _squeeze(y, tuple(dims))

    return rule


def _maximum(x: Any, axis: Any, keepdims: bool) -> Any:
    return pooling.maximum(x, axis, keepdims)


def _minimum(x: Any, axis: Any, keepdims: bool) -> Any:
    return -pooling.maximum(-x, axis, keepdims)


def _extreme(place: Callable) -> Callable:
    """Return ATen's max.dim or min.dim: the values and their places."""

    def rule(x: Any, dim: int, keepdim: bool = False) -> Any:
        found = place(x, axis=dim, keepdims=True)
        value = jnp.take_along_axis(x, found, axis=dim)
        return (value, found) if keepdim else (value.squeeze(dim), found.squeeze(dim))

    return on_plain(rule)


def _variance(
    x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *,
    correction: Any = None,
) -> Any:  # fmt: skip
    ddof = (1 if unbiased else 0) if correction is None else correction
    return jnp.var(x, axis=dim, ddof=ddof, keepdims=keepdim)


def _deviation(x: Any, *rest: Any, **options: Any) -> Any:
    return jnp.sqrt(_variance(x, *rest, **options))


def _variance_and_mean(x: Any, dim: Any = None, *rest: Any, **options: Any) -> Any:
    keepdim = options.get("keepdim", rest[1] if len(rest) > 1 else False)
    return _variance(x, dim, *rest, **options), jnp.mean(x, axis=dim, keepdims=keepdim)


def cast(x: Any, dtype: str) -> Any:
    """Return the values in a type; wider weights than the module's keep their precision."""
    wanted: Any = jax.dtypes.canonicalize_dtype(dtype)
    if jnp.issubdtype(x.dtype, jnp.floating) and wanted in (jnp.float32, jnp.float64):
        wanted = jnp.promote_types(x.dtype, wanted)
    return x.astype(wanted)


def _cast(x: Any, *_: Any, dtype: str | None = None, **__: Any) -> Any:
    if dtype is None:
        return x
    return view(cast(x.stored, dtype), x.order) if hasattr(x, "stored") else cast(x, dtype)


def _full_like(x: Any, value: Any, *, dtype: str | None = None, **_: Any) -> Any:
    kind: Any = x.dtype if dtype is None else jax.dtypes.canonicalize_dtype(dtype)
    return jnp.full(x.shape, value, kind)


def _same(x: Any, *_: Any, **__: Any) -> Any:
    return x


RULES: dict[str, Callable] = {
    "alias": _same,
    "all": _reduction(jnp.all),
    "amax": _reduction(_maximum),
    "amin": _reduction(_minimum),
    "any": _reduction(jnp.any),
    "argmax": on_plain(lambda x, dim=None, keepdim=False: jnp.argmax(x, dim, keepdims=keepdim)),
    "cat": _concatenate,
    "channel_shuffle": _channel_shuffle,
    "chunk": _chunk,
    "clone": _same,
    "constant_pad_nd": _constant_pad,
    "contiguous": _same,
    "copy": on_plain(_copy),
    "cumsum": on_plain(lambda x, dim, **_: jnp.cumsum(x, dim)),
    "detach": lambda x: view(jax.lax.stop_gradient(plain(x)), range(x.ndim)),
    "dropout": _same,
    "embedding": on_plain(_embedding),
    "expand": _expand,
    "flatten": _flatten,
    "fill": on_plain(_copy),
    "flip": on_axes(lambda x, axes: jnp.flip(x, axes)),
    "full_like": on_plain(_full_like),
    "gather": on_plain(_gather),
    "index": _index,
    "index_put": _index_put,
    "index_select": on_plain(_index_select),
    "lift_fresh_copy": _same,
    "max.dim": _extreme(jnp.argmax),
    "max.default": _reduction(_maximum),
    "mean": _reduction(jnp.mean),
    "min.dim": _extreme(jnp.argmin),
    "min.default": _reduction(_minimum),
    "permute": permuted,
    "pad": _pad,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "prod": _reduction(jnp.prod),
    "repeat": on_plain(_repeat),
    "reshape": shapes.reshape,
    "roll": on_plain(_roll),
    "select": shapes.take_one,
    "select_scatter": on_plain(_select_scatter),
    "slice": _slice,
    "slice_scatter": on_plain(_slice_scatter),
    "split": _split,
    "split_with_sizes": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "std": on_plain(_deviation),
    "sum": _reduction(jnp.sum),
    "t": _matrix_transpose,
    "_to_copy": _cast,
    "transpose": _transpose,
    "tril": on_plain(jnp.tril),
    "triu": on_plain(jnp.triu),
    "unbind": _unbind,
    "unsqueeze": _unsqueeze,
    "_unsafe_view": shapes.reshape,
    "var": on_plain(_variance),
    "var_mean": on_plain(_variance_and_mean),
    "view": shapes.reshape,
}
