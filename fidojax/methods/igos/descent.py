"""How I-GOS and iGOS++ step along their direction, and what smoothness costs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import total_variation
from fidojax.methods.igos.problem import Masks
from fidojax.types import Image, Mask, Scalar

TRIALS, SHRINK, ARMIJO = 13, 0.2, 1e-4
"""The line search: number of step sizes, factor from one to the next, share of the expected fall.
From 1000 the smallest step size is the first below 1e-5, at which the authors end the search."""


def line_search(
    masks: Masks,
    direction: Masks,
    values: Callable[[Float[Array, "k ..."]], Float[Array, " k"]],
    step_size: float | Scalar,
) -> Scalar:
    """Return the largest step size of `TRIALS` that lowers the value by Armijo's condition.

    All step sizes are tried in one batch: a loop that ends early would wait for the slowest picture
    of a batch. Where none is good enough, the smallest one is returned.

    Args:
        direction: what the masks descend along; it need not be the value's gradient.
        values: of several candidates for the masks.
        step_size: the first and largest one.
    """
    sizes = step_size * SHRINK ** jnp.arange(TRIALS, dtype=masks.dtype)
    after = jnp.clip(jax.vmap(lambda size: masks - size * direction)(sizes), 0, 1)
    found = values(jnp.concatenate([masks[None], after]))
    bound = found[0] - ARMIJO * sizes * jnp.sum(direction**2)  # the revised Armijo condition
    good = (found[1:] <= bound) & (found[1:] < found[0])  # the bound may round to the value itself
    return jnp.where(jnp.any(good), sizes[jnp.argmax(good)], sizes[-1])


def mean_variation(mask: Mask) -> Scalar:
    """Return the total variation per pair of neighbours, downward plus rightward."""
    return 2 * total_variation(mask) / _pairs(mask)


def bilateral_variation(mask: Mask, image: Image, contrast: float | Scalar) -> Scalar:
    """Return the total variation of a full-size mask, which the picture's own edges excuse.

    A squared difference of neighbours is weighted with exp(-(difference of their brightness /
    contrast)^2); the sum is divided as in `mean_variation`.
    """
    grey = image.mean(axis=-1)

    def along(axis):
        alike = jnp.exp(-((jnp.diff(grey, axis=axis) / contrast) ** 2))
        return jnp.sum(alike * jnp.diff(mask, axis=axis) ** 2)

    return 2 * (along(0) + along(1)) / _pairs(mask)


def _pairs(mask: Mask) -> int:
    rows, columns = mask.shape
    return max(1, (rows - 1) * columns + rows * (columns - 1))
