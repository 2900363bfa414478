"""Pooling of values "n c ...", computed with the channels stored last."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fidojax.networks.graph.view import channels_last, from_channels_last

Pads = Sequence[tuple[int, int]]


def max_pool(
    x: Any, window: Sequence[int], strides: Sequence[int], pads: Pads, dilations: Sequence[int]
) -> Any:
    """Return the largest value of each window."""
    image = channels_last(x)
    low = -jnp.inf if jnp.issubdtype(image.dtype, jnp.floating) else jnp.iinfo(image.dtype).min
    y = lax.reduce_window(
        image,
        np.asarray(low, image.dtype),
        lax.max,
        (1, *window, 1),
        (1, *strides, 1),
        ((0, 0), *pads, (0, 0)),
        window_dilation=(1, *dilations, 1),
    )
    return from_channels_last(y)


def average_pool(
    x: Any,
    window: Sequence[int],
    strides: Sequence[int],
    pads: Pads,
    counted: Pads | None = None,
    divisor: float | None = None,
    dilations: Sequence[int] | None = None,
) -> Any:
    """Return the mean of each window.

    Args:
        counted: how much of `pads` counts as zeros in the mean; the rest is left out.
        divisor: divide by this number instead.
    """
    image = channels_last(x)
    dilations = dilations or (1,) * len(window)

    def total(image, pads):
        zero = np.zeros((), image.dtype)
        shape, steps = (1, *window, 1), (1, *strides, 1)
        edges = ((0, 0), *pads, (0, 0))
        return lax.reduce_window(
            image, zero, lax.add, shape, steps, edges, window_dilation=(1, *dilations, 1)
        )

    y = total(image, pads)
    if divisor is None:
        counted = counted or ((0, 0),) * len(pads)
        grown = [n + sum(pad) for n, pad in zip(image.shape[1:-1], counted, strict=True)]
        rest = [(a - c, b - d) for (a, b), (c, d) in zip(pads, counted, strict=True)]
        if any(map(any, rest)):
            return from_channels_last(y / total(jnp.ones((1, *grown, 1), image.dtype), rest))
        divisor = float(np.prod(window))
    return from_channels_last(y / divisor)


def ceiling(
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    pads: Pads,
    dilations: Sequence[int],
) -> Pads:
    """Return the padding with which the last window of each axis may reach over the end.

    No window starts in the padding at the end.
    """
    grown = []
    for n, k, s, (low, high), d in zip(sizes, window, strides, pads, dilations, strict=True):
        count = -(-(n + low + high - d * (k - 1) - 1) // s) + 1
        count -= (count - 1) * s >= n + low
        grown.append((low, max(high, (count - 1) * s + d * (k - 1) + 1 - n - low)))
    return tuple(grown)


def adaptive_average_pool(x: Any, sizes: Sequence[int]) -> Any:
    """Return the means of as many parts of each axis as `sizes` says, which may overlap."""
    image = channels_last(x)
    for axis, size in enumerate(sizes, start=1):
        n = image.shape[axis]
        if size == n:
            continue
        if n % size == 0:
            parts = image.reshape(*image.shape[:axis], size, n // size, *image.shape[axis + 1 :])
            image = parts.mean(axis + 1)
        else:
            starts = np.arange(size) * n // size
            ends = -(-(np.arange(size) + 1) * n // size)
            places = np.arange(n)
            inside = (places >= starts[:, None]) & (places < ends[:, None])
            share = inside / inside.sum(1, keepdims=True)
            mixed = jnp.tensordot(jnp.asarray(share, image.dtype), image, ((1,), (axis,)))
            image = jnp.moveaxis(mixed, 0, axis)
    return from_channels_last(image)


def adaptive_max_pool(x: Any, sizes: Sequence[int]) -> Any:
    """Return the maxima of as many parts of each axis as `sizes` says, which may overlap."""
    image = channels_last(x)
    for axis, size in enumerate(sizes, start=1):
        n = image.shape[axis]
        parts = [
            lax.slice_in_dim(image, i * n // size, -(-(i + 1) * n // size), axis=axis)
            for i in range(size)
        ]
        image = jnp.concatenate([maximum(part, axis, True) for part in parts], axis)
    return from_channels_last(image)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def maximum(x: Any, axis: int | tuple[int, ...], keepdims: bool) -> Any:
    """Return the largest value along axes; the first of equal ones has the gradient.

    JAX's own gradient compares the values with the maximum. Where XLA computes them once more, and
    rounds them otherwise, none is equal and the gradient is NaN.
    """
    return jnp.max(x, axis=axis, keepdims=keepdims)


@maximum.defjvp
def _maximum_jvp(axis, keepdims, primals, tangents):
    (x,), (dx,) = primals, tangents
    axes = tuple(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))
    left = [a for a in range(x.ndim) if a not in axes]

    def flat(values):
        return values.transpose(*left, *axes).reshape(*(x.shape[a] for a in left), -1)

    place = jnp.argmax(flat(x), axis=-1, keepdims=True)
    slope = jnp.take_along_axis(flat(dx), place, axis=-1)[..., 0]
    y = jnp.max(x, axis=axis, keepdims=keepdims)
    return y, jnp.expand_dims(slope, axes) if keepdims else slope
