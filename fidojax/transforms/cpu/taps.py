"""Convolutions of pictures of a few pixels, by a matrix product for each tap of the kernel.

A 3 x 3 kernel on a 2 x 2 picture meets padding in 20 of its 36 products. Here each tap multiplies
only the pixels that it meets, and the kernel is not copied.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

PIXELS = 4
"""The largest number of rows and columns of an output for which this is faster."""


def pays(shape: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    """Whether this is faster than a direct convolution, given the output's and kernel's shapes."""
    return max(shape[1:3]) <= PIXELS and 1 < max(kernel[:2]) <= 3 and min(kernel[2:]) >= 64


class _Reach(NamedTuple):
    """Along one axis: a tap, its first and last output, and the pixel that the first one meets."""

    tap: int
    first: int
    last: int
    pixel: int


def _reaches(size: int, taps: int, stride: int, pad: tuple[int, int], out: int) -> Iterator[_Reach]:
    for tap in range(taps):
        first = max(0, -((tap - pad[0]) // stride))
        last = min(out - 1, (size - 1 + pad[0] - tap) // stride)
        if first <= last:
            yield _Reach(tap, first, last, first * stride + tap - pad[0])


def _meetings(shape, kernel, strides, pads, out) -> Iterator[tuple[_Reach, _Reach]]:
    rows, columns = (
        _reaches(*axis)
        for axis in zip(shape[1:3], kernel[:2], strides, pads, out[1:3], strict=True)
    )
    return itertools.product(rows, columns)


def conv(
    x: Float[Array, "n h w i"],
    kernel: Float[Array, "kh kw i o"],
    strides: tuple[int, int],
    pads: tuple[tuple[int, int], tuple[int, int]],
    out: tuple[int, ...],
) -> Float[Array, "n h2 w2 o"]:
    """Return the convolution, of shape `out`."""
    (sh, sw), total = strides, jnp.zeros(out, x.dtype)
    for row, column in _meetings(x.shape, kernel.shape, strides, pads, out):
        pixels = lax.slice(
            x,
            (0, row.pixel, column.pixel, 0),
            (
                x.shape[0],
                row.pixel + (row.last - row.first) * sh + 1,
                column.pixel + (column.last - column.first) * sw + 1,
                x.shape[3],
            ),
            (1, sh, sw, 1),
        )
        total += _placed(
            pixels @ kernel[row.tap, column.tap], out, (row.first, column.first), (1, 1)
        )
    return total


def conv_input_gradient(
    g: Float[Array, "n h2 w2 o"],
    kernel: Float[Array, "kh kw i o"],
    shape: tuple[int, ...],
    strides: tuple[int, int],
    pads: tuple[tuple[int, int], tuple[int, int]],
) -> Float[Array, "n h w i"]:
    """Return the gradient with respect to the input of `conv`, of this shape."""
    total = jnp.zeros(shape, g.dtype)
    for row, column in _meetings(shape, kernel.shape, strides, pads, g.shape):
        outputs = g[:, row.first : row.last + 1, column.first : column.last + 1]
        back = lax.dot_general(outputs, kernel[row.tap, column.tap], (((3,), (1,)), ((), ())))
        total += _placed(back, shape, (row.pixel, column.pixel), strides)
    return total


def _placed(
    x: Array, shape: tuple[int, ...], start: tuple[int, int], gaps: tuple[int, int]
) -> Array:
    """Place x in zeros of this shape, from `start` on, its rows and columns `gaps` apart."""
    edges = [
        (first, size - first - (n - 1) * gap - 1, gap - 1)
        for first, size, n, gap in zip(start, shape[1:3], x.shape[1:3], gaps, strict=True)
    ]
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
