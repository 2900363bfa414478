"""Convolutions and pooling that XLA compiles well for the CPU.

Each function equals its counterpart in `jax.lax` up to rounding, in values and in gradients, but
consists of other operations. Images are "n h w c", kernels "kh kw i o". `cpu.fast` puts these
functions into a classifier.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from fidojax.transforms.cpu import taps, winograd

Pads = tuple[tuple[int, int], tuple[int, int]]
"""Rows and columns added before and after, per axis; negative ones crop."""
Strides = tuple[int, int]

_NHWC = ("NHWC", "HWIO", "NHWC")


def _pad(x: Array, pads: Pads, value: float = 0.0) -> Array:
    rows, columns = pads
    if rows == columns == (0, 0):
        return x
    return lax.pad(
        x, jnp.asarray(value, x.dtype), ((0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0))
    )


def _plain_conv(x: Array, kernel: Array, strides: Strides, pads: Pads, dilation: Strides) -> Array:
    if any(n < k for n, k in zip(x.shape[1:3], kernel.shape, strict=False)):
        # XLA takes a slow path where the kernel exceeds the unpadded input; the barrier keeps it
        # from moving the padding back into the convolution.
        rows, columns = ((*pad, gap - 1) for pad, gap in zip(pads, dilation, strict=True))
        x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), rows, columns, (0, 0, 0)))
        x, pads, dilation = lax.optimization_barrier(x), ((0, 0), (0, 0)), (1, 1)
    return lax.conv_general_dilated(
        x, kernel, strides, pads, lhs_dilation=dilation, dimension_numbers=_NHWC
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(
    x: Float[Array, "n h w i"], kernel: Float[Array, "kh kw i o"], strides: Strides, pads: Pads
) -> Float[Array, "n h2 w2 o"]:
    """Convolve so that gradients inside loops are fast, where XLA compiles JAX's own badly.

    Kernels of one pixel become matrix products, as do pictures of a few pixels (`taps`) and 3 x 3
    kernels of many channels (`winograd`).
    """
    window, (sh, sw) = kernel.shape[:2], strides
    if window == (1, 1) and pads == ((0, 0), (0, 0)):
        return lax.dot_general(x[:, ::sh, ::sw], kernel[0, 0], _over(3, 0))
    height, width = (
        (size + sum(pad) - k) // stride + 1
        for size, pad, k, stride in zip(x.shape[1:3], pads, window, strides, strict=True)
    )
    out = (x.shape[0], height, width, kernel.shape[3])
    if taps.pays(out, kernel.shape):
        return taps.conv(x, kernel, strides, pads, out)
    if strides == (1, 1) and winograd.pays(out, kernel.shape, x.dtype):
        return winograd.conv(_pad(x, pads), kernel)
    if strides != (1, 1) and x.shape[3] < 8 and (window[0] % sh, window[1] % sw) == (0, 0):
        return _conv_of_blocks(x, kernel, strides, pads, (height, width))
    return _plain_conv(x, kernel, strides, pads, (1, 1))


def _conv_of_blocks(x, kernel, strides, pads, size):
    """Convolve blocks of pixels, for few channels and a stride that divides the kernel."""
    (kh, kw, c_in, c_out), (sh, sw) = kernel.shape, strides
    mh, mw = kh // sh, kw // sw
    rows, columns = size[0] + mh - 1, size[1] + mw - 1  # in blocks
    x = _fit(x, (-1, rows * sh, columns * sw), (1, 1), (-pads[0][0], -pads[1][0]))
    x = x.reshape(-1, rows, sh, columns, sw, c_in).transpose(0, 1, 3, 2, 4, 5)
    blocks = kernel.reshape(mh, sh, mw, sw, c_in, c_out).transpose(0, 2, 1, 3, 4, 5)
    return lax.conv_general_dilated(
        lax.optimization_barrier(x.reshape(-1, rows, columns, sh * sw * c_in)),
        blocks.reshape(mh, mw, sh * sw * c_in, c_out),
        (1, 1),
        "VALID",
        dimension_numbers=_NHWC,
    )


def _over(left: int, right: int):
    """Return the dimension numbers of a matrix product over these axes."""
    return ((left,), (right,)), ((), ())


def _conv_forward(x, kernel, strides, pads):
    return conv(x, kernel, strides, pads), (x, kernel)


def _conv_backward(strides, pads, residuals, g):
    x, kernel = residuals
    dx = conv_input_gradient(g, kernel, x.shape, strides, pads)
    stock = functools.partial(_plain_conv, strides=strides, pads=pads, dilation=(1, 1))
    (dkernel,) = jax.vjp(lambda kernel: stock(x, kernel), kernel)[1](g)
    return dx, dkernel


conv.defvjp(_conv_forward, _conv_backward)


def conv_input_gradient(
    g: Float[Array, "n h2 w2 o"],
    kernel: Float[Array, "kh kw i o"],
    shape: tuple[int, ...],
    strides: Strides,
    pads: Pads,
) -> Float[Array, "n h w i"]:
    """Return the gradient with respect to the input of `conv`, given that of its output."""
    (kh, kw), (sh, sw) = kernel.shape[:2], strides
    if (kh, kw) == (1, 1) and pads == ((0, 0), (0, 0)):
        return _fit(lax.dot_general(g, kernel[0, 0], _over(3, 1)), shape, strides, (0, 0))
    if taps.pays(g.shape, kernel.shape):
        return taps.conv_input_gradient(g, kernel, shape, strides, pads)
    if strides != (1, 1) and (kh % sh, kw % sw) == (0, 0):
        return _gradient_by_blocks(g, kernel, shape, strides, pads)
    # The textbook form, its kernel laid out as for a forward convolution: JAX's own names the axes
    # of the kernel in another order instead, which inside loops costs XLA its fast path.
    around = [
        (k - 1 - low, n - (out - 1) * s + low - 1)
        for k, (low, _), n, out, s in zip(
            (kh, kw), pads, shape[1:3], g.shape[1:3], strides, strict=True
        )
    ]
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    if strides == (1, 1) and winograd.pays(shape, kernel.shape, g.dtype):
        return winograd.conv(_pad(g, (around[0], around[1])), flipped)
    return _plain_conv(g, flipped, (1, 1), (around[0], around[1]), strides)


def _gradient_by_blocks(g, kernel, shape, strides, pads):
    """Compute the patch of each output by one matrix product, if the stride divides the kernel.

    The patches, cut into blocks of the stride, then add up, without products with zeros.
    """
    (kh, kw, c_in, c_out), (sh, sw) = kernel.shape, strides
    mh, mw = kh // sh, kw // sw
    blocks = kernel.reshape(mh, sh, mw, sw, c_in, c_out).transpose(0, 2, 1, 3, 4, 5)
    patches = lax.dot_general(g, blocks.reshape(-1, c_out), _over(3, 1))
    n, h, w, _ = g.shape
    patches = lax.optimization_barrier(patches.reshape(n, h, w, mh, mw, -1))
    total = functools.reduce(
        jnp.add,
        [
            _pad(patches[:, :, :, i, j], ((i, mh - 1 - i), (j, mw - 1 - j)))
            for i, j in itertools.product(range(mh), range(mw))
        ],
    )
    return _fit(_unblock(total, strides), shape, (1, 1), (pads[0][0], pads[1][0]))


def _unblock(x: Array, block: Strides) -> Array:
    """ "n h w (bh bw c)", or with the last axis split, -> "n (h bh) (w bw) c"."""
    n, h, w = x.shape[:3]
    x = x.reshape(n, h, w, *block, -1).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * block[0], w * block[1], -1)


def _fit(x: Array, shape: tuple[int, ...], gaps: Strides, start: tuple[int, int]) -> Array:
    """Place rows and columns from `start` on, `gaps` apart, and crop or zero-pad to a shape."""
    edges = [
        (-low, size + low - ((n - 1) * gap + 1), gap - 1)
        for low, size, n, gap in zip(start, shape[1:3], x.shape[1:3], gaps, strict=True)
    ]
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(
    x: Float[Array, "n h w c"], kernel: Float[Array, "kh kw c"], strides: Strides, pads: Pads
) -> Float[Array, "n h2 w2 c"]:
    """Convolve each channel by itself, as a sum of shifted products.

    XLA fuses these into one pass over memory; its own grouped convolution takes 30 times as long.
    """
    return _shifted_products(x, kernel, strides, pads)


def _shifted_products(x: Array, kernel: Array, strides: Strides, pads: Pads) -> Array:
    # Without the barrier the padding is recomputed, with its bounds check, at every tap.
    x = lax.optimization_barrier(_pad(x, pads))
    kh, kw, _ = kernel.shape
    (sh, sw), (_, h, w, _) = strides, x.shape
    height, width = (h - kh) // sh + 1, (w - kw) // sw + 1
    products = [
        x[:, i : i + (height - 1) * sh + 1 : sh, j : j + (width - 1) * sw + 1 : sw] * kernel[i, j]
        for i, j in itertools.product(range(kh), range(kw))
    ]
    return functools.reduce(jnp.add, products)


def _depthwise_forward(x, kernel, strides, pads):
    return depthwise(x, kernel, strides, pads), (x, kernel)


def _depthwise_backward(strides, pads, residuals, g):
    x, kernel = residuals
    dx = _depthwise_input_gradient(g, kernel, x.shape, strides, pads)
    grouped = functools.partial(_grouped_conv, x, strides=strides, pads=pads)
    (dkernel,) = jax.vjp(grouped, kernel)[1](g)
    return dx, dkernel


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def _grouped_conv(x, kernel, strides, pads):
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        strides,
        pads,
        dimension_numbers=_NHWC,
        feature_group_count=x.shape[3],
    )


def _depthwise_input_gradient(g, kernel, shape, strides, pads):
    """Sum shifted products for each remainder of the pixel modulo the stride.

    Along one axis y[o] = sum_k kernel[k] x[o s + k - p], so with pixel t + p = a s + r, 0 <= r < s,
    dx[t] = sum_m kernel[r + m s] g[a - m].
    """
    (kh, kw), (sh, sw) = kernel.shape[:2], strides
    rows, columns = (
        _remainders(*axis)
        for axis in zip(shape[1:3], kernel.shape, strides, pads, g.shape[1:3], strict=False)
    )
    g = lax.optimization_barrier(_pad(g, (rows.pad, columns.pad)))
    zeros = jnp.zeros((g.shape[0], rows.count, columns.count, g.shape[3]), g.dtype)
    # Tap k of remainder k % s meets g shifted by k // s.
    parts = [
        functools.reduce(
            jnp.add,
            [
                lax.slice_in_dim(
                    lax.slice_in_dim(
                        g, rows.last - i // sh, rows.last - i // sh + rows.count, axis=1
                    ),
                    columns.last - j // sw,
                    columns.last - j // sw + columns.count,
                    axis=2,
                )
                * kernel[i, j]
                for i, j in itertools.product(range(r, kh, sh), range(q, kw, sw))
            ],
            zeros,
        )
        for r, q in itertools.product(range(sh), range(sw))
    ]
    dx = parts[0] if len(parts) == 1 else _unblock(jnp.stack(parts, 3), strides)
    return _fit(dx, shape, (1, 1), (rows.first, columns.first))


class _Remainders(NamedTuple):
    """One axis: the padding of g, the largest shift, values per remainder, the place of pixel 0."""

    pad: tuple[int, int]
    last: int
    count: int
    first: int


def _remainders(size: int, k: int, stride: int, pad: tuple[int, int], out: int) -> _Remainders:
    last = (k - 1) // stride
    begin, end = pad[0] // stride, (size - 1 + pad[0]) // stride + 1
    return _Remainders((last - begin, end - out), last, end - begin, pad[0] - begin * stride)


def max_pool(
    x: Float[Array, "n h w c"], window: tuple[int, int], strides: Strides, pads: Pads
) -> Float[Array, "n h2 w2 c"]:
    """Return the largest value of each window, by a chain of comparisons.

    The gradient goes to the first of equal values, as `jax.lax.reduce_window`'s does.
    """
    x = lax.optimization_barrier(_pad(x, pads, -jnp.inf))
    (sh, sw), (_, h, w, _) = strides, x.shape
    height, width = (h - window[0]) // sh + 1, (w - window[1]) // sw + 1
    shifted = [
        x[:, i : i + (height - 1) * sh + 1 : sh, j : j + (width - 1) * sw + 1 : sw]
        for i, j in itertools.product(range(window[0]), range(window[1]))
    ]
    return functools.reduce(lambda a, b: jnp.where(b > a, b, a), shifted)
