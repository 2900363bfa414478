"""Winograd's convolution F(2 x 2, 3 x 3): 16 products for four outputs of a 3 x 3 kernel, not 36.

Its products are matrix products, which XLA compiles well for the CPU, and its rounding errors are
at most twice those of a direct convolution; those of the larger F(4 x 4, 3 x 3) are 10 to 30 times
as large.

Reference: Lavin and Gray 2016, Fast Algorithms for Convolutional Neural Networks
(https://arxiv.org/abs/1509.09308), section 4.1.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

# B^T, G and A^T of the paper.
_IMAGE = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])

CHANNELS = 64
"""The least number of channels in and out; below it the sums cost more than is saved."""
TILES = 64
"""The least number of tiles in a batch; below it transforming the kernel costs more."""


def pays(shape: tuple[int, ...], kernel: tuple[int, ...], dtype: jnp.dtype) -> bool:
    """Whether this is faster than a direct convolution, given the output's and kernel's shapes.

    It is not used if JAX is set to compile quickly, since it consists of many small operations.
    """
    n, height, width, _ = shape
    return (
        kernel[:2] == (3, 3)
        and not jax.config.read("jax_disable_most_optimizations")
        and min(kernel[2:]) >= CHANNELS
        and n * -(-height // 2) * -(-width // 2) >= TILES
        and dtype in (jnp.float32, jnp.float64)  # the sums would cost bfloat16 its last digits
    )


def conv(
    x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"]
) -> Float[Array, "n h-2 w-2 o"]:
    """Return the convolution of stride 1 of a padded image."""
    _, height, width, _ = x.shape
    rows, columns = height // 2 - 1 + height % 2, width // 2 - 1 + width % 2
    x = lax.pad(
        x,
        jnp.zeros((), x.dtype),
        ((0, 0, 0), (0, height % 2, 0), (0, width % 2, 0), (0, 0, 0)),
    )
    # Without the barriers XLA recomputes what precedes them in every sum that follows.
    x = lax.optimization_barrier(x)
    tiles = [
        [x[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] for j in range(4)]
        for i in range(4)
    ]
    tiles = lax.optimization_barrier(_transformed(tiles, _IMAGE))
    both = jnp.asarray(np.kron(_KERNEL, _KERNEL), kernel.dtype)
    kernels = (both @ kernel.reshape(9, -1)).reshape(4, 4, *kernel.shape[2:])
    products = lax.optimization_barrier(
        [[tiles[u][v] @ kernels[u, v] for v in range(4)] for u in range(4)]
    )
    y = jnp.stack([jnp.stack(row, 3) for row in _transformed(products, _OUTPUT)], 2)
    return y.reshape(-1, 2 * rows, 2 * columns, kernel.shape[3])[:, : height - 2, : width - 2]


def _transformed(grid: list[list[Array]], matrix: np.ndarray) -> list[list[Array]]:
    """Return matrix grid matrix^T for a matrix of 0, 1 and -1."""
    rows = [[_signed_sum(signs, row) for signs in matrix] for row in grid]
    return [[_signed_sum(signs, column) for column in zip(*rows, strict=True)] for signs in matrix]


def _signed_sum(signs, terms) -> Array:
    # By lax, since there are hundreds of sums to trace in a network.
    (sign, total), *rest = [pair for pair in zip(signs, terms, strict=True) if pair[0]]
    total = total if sign > 0 else lax.neg(total)
    for sign, term in rest:
        total = (lax.add if sign > 0 else lax.sub)(total, term)
    return total
