"""Smooth masks of a given area: what Extremal Perturbation optimises.

Fong, Patrick, Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth Masks",
ICCV 2019 (arXiv 1910.08485), sections 3.2 and 3.3, with the constants of the authors' code.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.types import Mask, Scalar


@functools.partial(jax.checkpoint, static_argnums=(1, 2, 3), prevent_cse=False)
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
    weights = jnp.asarray(_disc(stride, sigma, reach), grid.dtype)
    values = weights[..., None, None] * around
    likely = jnp.exp(coldness * (values - 1))
    pooled = jnp.sum(likely * values, axis=2) / jnp.sum(likely, axis=2)
    whole = pooled.transpose(2, 0, 3, 1).reshape(rows * stride, columns * stride)
    whole = whole[: (rows - 1) * stride + 1, : (columns - 1) * stride + 1]
    first = border * stride
    return whole[first : first + shape[0], first : first + shape[1]], whole


@functools.lru_cache
def _disc(stride: int, sigma: float, reach: int) -> np.ndarray:
    """k for a pixel's place (y, x) between the nodes, and each of the nodes around it."""
    distance = np.arange(stride)[:, None] - stride * np.arange(-reach, reach + 1)[None, :]
    square = distance[:, None, :, None] ** 2 + distance[None, :, None, :] ** 2
    disc = np.exp(-2 * np.maximum(np.sqrt(square) / sigma - 0.5, 0) ** 2)
    return disc.reshape(stride, stride, -1)


def area_loss(mask: Float[Array, "h w"], area: float | Scalar) -> Scalar:
    """Mean squared difference between the sorted mask and a hard mask of the given area.

    0 for a mask whose largest values, a share `area` of all, are 1 and whose others are 0. Of equal
    values the later in row-major order counts as the larger.

    Args:
        mask: values in [0, 1].
        area: share in [0, 1]; the number of zeros is rounded down.
    """
    count = mask.size
    # The hundredth of a pixel keeps 67600 * (1 - 0.1) whole in float32.
    zeros = jnp.floor(count * (1 - area) + 0.01)
    template = (jnp.arange(count) >= zeros).astype(mask.dtype)
    return jnp.mean((jnp.sort(mask.ravel()) - template) ** 2)
