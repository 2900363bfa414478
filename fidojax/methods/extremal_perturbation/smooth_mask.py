"""Smooth masks of a given area: what Extremal Perturbation optimises.

Fong, Patrick, Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth Masks",
ICCV 2019 (arXiv 1910.08485), sections 3.2 and 3.3, with the constants of the authors' code.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fidojax.types import Mask, Scalar


def smooth_mask(
    grid: Float[Array, "rows columns"],
    shape: tuple[int, int],
    stride: int,
    sigma: float,
    coldness: float = 20.0,
) -> tuple[Mask, Float[Array, "tall wide"]]:
    """Upsample a grid by a smooth maximum over discs, so that no mask is finer than a disc.

    A node of the grid stands at every `stride`-th pixel. A pixel takes the softmax-weighted mean,
    sum v softmax(coldness v), over v = node x k(distance / sigma) of the nodes around it, where
    k(z) = exp(-2 max(z - 1/2, 0)^2); nodes outside the grid are 0. Where the grid lies in [0, 1],
    so does the mask, and no clipping is needed (it would halve gradients at the bounds).

    Args:
        grid: "ceil(h / stride) ceil(w / stride)", values in [0, 1].
        shape: (h, w) of the image.
        stride: pixels between neighbouring nodes.
        sigma: in pixels; a node at 1 makes a disc of about half this radius.
        coldness: inverse temperature; the larger, the closer to the maximum.

    Returns:
        The mask on the image, and the whole mask, which goes on beyond each side of the image by
        `stride * ceil(sigma / stride)` pixels less what a last incomplete step leaves.
    """
    border = math.ceil(sigma / stride)
    reach = border + 1
    width = 2 * reach + 1
    rows, columns = (n + 2 * border for n in grid.shape)
    nodes = jnp.pad(grid, border + reach)
    around = jnp.stack(
        [nodes[i : i + rows, j : j + columns] for i in range(width) for j in range(width)]
    )
    disc = jnp.asarray(_disc(stride, sigma, reach), grid.dtype)
    pooled: Array = _soft_maximum(disc, around, coldness)  # type: ignore[assignment]
    whole = pooled.transpose(2, 0, 3, 1).reshape(rows * stride, columns * stride)
    whole = whole[: (rows - 1) * stride + 1, : (columns - 1) * stride + 1]
    first = border * stride
    return whole[first : first + shape[0], first : first + shape[1]], whole


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _soft_maximum(
    disc: Float[Array, "n stride stride"],
    nodes: Float[Array, "n rows columns"],
    coldness: float,
) -> Float[Array, "stride stride rows columns"]:
    """sum v softmax(coldness v) over n, v = disc x nodes; no gradient to the disc.

    One node after the other, and its gradient by hand: what autodiff makes of it takes the
    CPU four times as long.
    """
    return _soft_maximum_forward(disc, nodes, coldness)[0]


def _soft_maximum_forward(disc, nodes, coldness):
    def add(sums, node):
        values, likely = _values(node[0], node[1], coldness)
        return (sums[0] + likely * values, sums[1] + likely), None

    zeros = jnp.zeros((*disc.shape[1:], *nodes.shape[1:]), nodes.dtype) + 0 * nodes[0]
    (top, total), _ = jax.lax.scan(add, (zeros, zeros), (disc, nodes), unroll=_together())
    return top / total, (disc, nodes, top / total, total)


def _soft_maximum_backward(coldness, residuals, gradient):
    disc, nodes, pooled, total = residuals
    share = gradient / total

    def to_node(_, node):
        values, likely = _values(node[0], node[1], coldness)
        slope = likely * (1 + coldness * (values - pooled)) * share
        return None, (node[0][..., None, None] * slope).sum((0, 1))

    _, to_nodes = jax.lax.scan(to_node, None, (disc, nodes), unroll=_together())
    return jnp.zeros_like(disc), to_nodes


_soft_maximum.defvjp(_soft_maximum_forward, _soft_maximum_backward)


def _together() -> int:
    """Nodes in one step of a loop: accelerators make one kernel of them."""
    return 1 if jax.default_backend() == "cpu" else 9


def _values(disc, nodes, coldness):
    """v of one node, and what is proportional to its softmax."""
    values = disc[..., None, None] * nodes
    return values, jnp.exp(coldness * (values - 1))


@functools.lru_cache
def _disc(stride: int, sigma: float, reach: int) -> np.ndarray:
    """k for a pixel's place (y, x) between the nodes, and each of the nodes around it."""
    distance = np.arange(stride)[:, None] - stride * np.arange(-reach, reach + 1)[None, :]
    square = distance[:, None, :, None] ** 2 + distance[None, :, None, :] ** 2
    disc = np.exp(-2 * np.maximum(np.sqrt(square) / sigma - 0.5, 0) ** 2)
    return disc.reshape(stride, stride, -1).transpose(2, 0, 1)


def area_loss(mask: Float[Array, "h w"], area: float | Scalar) -> Scalar:
    """Mean squared difference between the sorted mask and a hard mask of the given area.

    0 for a mask whose largest values, a share `area` of all, are 1 and whose others are 0. Of equal
    values the later in row-major order counts as the larger.

    Args:
        mask: values in [0, 1].
        area: share in [0, 1]; the number of zeros is rounded down.
    """
    values = mask.ravel()
    # The hundredth of a pixel keeps 67600 * (1 - 0.1) whole in float32.
    zeros = jnp.floor(mask.size * (1 - area) + 0.01).astype(jnp.int32)
    template = _largest(jax.lax.stop_gradient(values), mask.size - zeros)
    return jnp.mean((values - template) ** 2)


def _largest(values: Float[Array, " n"], count: Int[Array, ""]) -> Bool[Array, " n"]:
    """Which are the `count` largest; of equal ones the later. Values are not negative.

    The bits of such numbers are ordered as they are, so the smallest of the largest is found bit by
    bit, which is several times as fast as sorting.
    """
    kind = jnp.dtype(f"int{8 * values.dtype.itemsize}")
    bits = jax.lax.bitcast_convert_type(values, kind)

    def set_bit(i, bound):
        higher = bound | (jnp.ones((), kind) << (8 * kind.itemsize - 2 - i).astype(kind))
        return jnp.where(jnp.sum(bits >= higher) >= count, higher, bound)

    bound = jax.lax.fori_loop(0, 8 * kind.itemsize - 1, set_bit, jnp.zeros((), kind))
    above, equal = bits > bound, bits == bound
    place = jnp.cumsum(equal[::-1])[::-1]
    return above | (equal & (place <= count - jnp.sum(above)))
