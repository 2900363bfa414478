"""Convolutions and pooling that XLA compiles well for the CPU.

Each function equals its counterpart in `jax.lax` up to rounding, in values and in gradients, and
differs in the operations that it is made of. Images are "n h w c", kernels "kh kw i o".
`fidojax.cpu.fast` puts them into a classifier.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

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


def _plain_conv(x: Array, kernel: Array, strides: Strides, pads: Pads) -> Array:
    if any(n < k for n, k in zip(x.shape[1:3], kernel.shape, strict=False)):
        # XLA takes a slow path where the kernel exceeds the unpadded input; the barrier keeps it
        # from moving the padding back into the convolution.
        x, pads = lax.optimization_barrier(_pad(x, pads)), ((0, 0), (0, 0))
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=_NHWC)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(
    x: Float[Array, "n h w i"], kernel: Float[Array, "kh kw i o"], strides: Strides, pads: Pads
) -> Float[Array, "n h2 w2 o"]:
    """A convolution whose gradient to the input is a convolution of the same plain form.

    JAX's own gradient dilates by the stride, so that most products are with zeros, and its kernel
    is permuted, which inside loops XLA computes by a naive path. Here the input pixels of each
    remainder modulo the stride are the output channels of one convolution without dilation.
    """
    if kernel.shape[:2] == (1, 1) and pads == ((0, 0), (0, 0)):
        # One matrix product, which XLA does faster than the same as a convolution.
        return lax.dot_general(
            x[:, :: strides[0], :: strides[1]], kernel[0, 0], (((3,), (0,)), ((), ()))
        )
    return _plain_conv(x, kernel, strides, pads)


def _conv_forward(x, kernel, strides, pads):
    return conv(x, kernel, strides, pads), (x, kernel)


def _conv_backward(strides, pads, residuals, g):
    x, kernel = residuals
    dx = conv_input_gradient(g, kernel, x.shape, strides, pads)
    (dkernel,) = jax.vjp(lambda kernel: _plain_conv(x, kernel, strides, pads), kernel)[1](g)
    return dx, dkernel


conv.defvjp(_conv_forward, _conv_backward)


def conv_input_gradient(
    g: Float[Array, "n h2 w2 o"],
    kernel: Float[Array, "kh kw i o"],
    shape: tuple[int, ...],
    strides: Strides,
    pads: Pads,
) -> Float[Array, "n h w i"]:
    """The gradient of `conv` to its input of that shape, from the gradient to its output.

    Along one axis y[o] = sum_k kernel[k] x[o s + k - p], so with pixel t + p = a s + r, 0 <= r < s,
    dx[t] = sum_m kernel[r + m s] g[a - m]: for each remainder r a stride 1 convolution over a.
    """
    (sh, sw), (n, h, w, c_in), c_out = strides, shape, kernel.shape[3]
    if kernel.shape[:2] == (1, 1) and strides == (1, 1) and pads == ((0, 0), (0, 0)):
        return lax.dot_general(g, kernel[0, 0], (((3,), (1,)), ((), ())))
    axes = [
        _phases(*a) for a in zip((h, w), kernel.shape, strides, pads, g.shape[1:], strict=False)
    ]
    (mh, rows, row), (mw, columns, column) = axes
    taps = lax.pad(
        kernel,
        jnp.zeros((), kernel.dtype),
        (
            (0, mh * sh - kernel.shape[0], 0),
            (0, mw * sw - kernel.shape[1], 0),
            (0, 0, 0),
            (0, 0, 0),
        ),
    )
    # "mh sh mw sw i o" -> flipped "mh mw o (sh sw i)"
    taps = taps.reshape(mh, sh, mw, sw, c_in, c_out).transpose(0, 2, 5, 1, 3, 4)
    taps = jnp.flip(taps, (0, 1)).reshape(mh, mw, c_out, sh * sw * c_in)
    phases = _plain_conv(g, taps, (1, 1), (rows, columns))
    _, height, width, _ = phases.shape
    if sh * sw > 1:
        phases = phases.reshape(n, height, width, sh, sw, c_in).transpose(0, 1, 3, 2, 4, 5)
        phases = phases.reshape(n, height * sh, width * sw, c_in)
    return phases[:, row : row + h, column : column + w]


def _phases(size: int, k: int, stride: int, pad: tuple[int, int], out: int):
    """For one axis: taps per remainder, padding of g, and where pixel 0 is in the phases' row."""
    taps = -(-k // stride)
    first, last = pad[0] // stride, (size - 1 + pad[0]) // stride
    return taps, (taps - 1 - first, last + 1 - out), pad[0] - first * stride


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(
    x: Float[Array, "n h w c"], kernel: Float[Array, "kh kw c"], strides: Strides, pads: Pads
) -> Float[Array, "n h2 w2 c"]:
    """A convolution of each channel by itself, as a sum of shifted products.

    XLA fuses them into one pass over memory, and its own grouped convolution takes 30 times longer.
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
    (sh, sw), (n, h, w, c) = strides, shape
    axes = [
        _phases(*a) for a in zip((h, w), kernel.shape, strides, pads, g.shape[1:], strict=False)
    ]
    (mh, (top, bottom), row), (mw, (left, right), column) = axes
    g = lax.optimization_barrier(_pad(g, ((top, bottom), (left, right))))
    height, width = g.shape[1] - mh + 1, g.shape[2] - mw + 1

    def phase(r, q):
        return sum(
            g[:, i : i + height, j : j + width]
            * kernel[r + (mh - 1 - i) * sh, q + (mw - 1 - j) * sw]
            for i, j in itertools.product(range(mh), range(mw))
            if r + (mh - 1 - i) * sh < kernel.shape[0] and q + (mw - 1 - j) * sw < kernel.shape[1]
        ) + jnp.zeros((n, height, width, c), g.dtype)

    if sh * sw == 1:
        dx = phase(0, 0)
    else:
        dx = jnp.stack([jnp.stack([phase(r, q) for q in range(sw)], 3) for r in range(sh)], 2)
        dx = dx.reshape(n, height * sh, width * sw, c)
    return dx[:, row : row + h, column : column + w]


def max_pool(
    x: Float[Array, "n h w c"], window: tuple[int, int], strides: Strides, pads: Pads
) -> Float[Array, "n h2 w2 c"]:
    """The largest value of each window, as a chain of comparisons.

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
