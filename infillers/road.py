"""Infill by noisy linear imputation: a dropped pixel is a weighted mean of its eight neighbours.

Rong, Leemann, Borisov, Kasneci, Kasneci, "A Consistent and Efficient Evaluation Strategy for
Attribution Methods", ICML 2022 (arXiv 2202.00449), section 5: with it `fidojax.metrics.deletion` is
ROAD.
"""

import functools

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Float

from fidojax.core import check_count, shown
from fidojax.networks import IMAGENET_MEAN
from fidojax.types import Image, Infiller, Mask, PRNGKey, Scalar
from infillers.mean import in_channels


def road(
    noise: float = 0.01, color: float | tuple[float, ...] | None = None, iterations: int = 1000
) -> Infiller:
    """Return an infiller by linear interpolation of the kept pixels, which hides the mask.

    Neighbours across an edge have weight 1/6, across a corner 1/12; at the border of the picture
    the weights of the remaining neighbours are scaled to sum 1. The equations of all dropped pixels
    form one sparse linear system, solved by conjugate gradients to the precision of float32. The
    infiller reads kept pixels only.

    Args:
        noise: standard deviation of the Gaussian noise added to the dropped pixels, in units of the
            pixel range; the sum is clipped to [0, 1].
        color: in [0, 1], the infill if no pixel is kept; ImageNet's mean when None.
        iterations: the largest number of iterations; larger holes need more.

    Raises:
        ValueError: noise is below 0, or iterations below 1.

    Reference: Rong et al. 2022, section 5 (noisy linear imputation); the weights are their code's.

    Example:
        >>> import jax, infillers
        >>> image = jax.random.uniform(jax.random.key(0), (32, 32, 3))
        >>> mask = jax.random.bernoulli(jax.random.key(1), 0.5, (32, 32)).astype(float)
        >>> infill = infillers.road(noise=0.0)
        >>> infill(jax.random.key(2), image, mask).shape
        (32, 32, 3)
    """
    check_count(iterations=iterations)
    if noise < 0:
        raise ValueError(f"noise is {noise}, expected at least 0")
    color = IMAGENET_MEAN if color is None else color
    return _Road(iterations, jnp.asarray(noise, jnp.float32), jnp.asarray(color, jnp.float32))


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["noise", "color"], meta_fields=["iterations"]
)
class _Road:
    __repr__ = shown

    def __init__(self, iterations: int, noise: Scalar, color: Float[Array, "..."]) -> None:
        self.iterations, self.noise, self.color = iterations, noise, color

    def __call__(self, key: PRNGKey, image: Image, mask: Mask) -> Image:
        keep = mask[..., None]
        kept = keep.sum()
        # The unknowns are differences from the mean, which float32 resolves better.
        middle = jnp.where(
            kept > 0,
            (image * keep).sum((0, 1)) / jnp.maximum(kept, 1),
            in_channels(self.color, image),
        )
        known = keep * (image - middle)
        weight = _around(jnp.ones_like(keep))

        def equations(unknown: Image) -> Image:
            return (1 - keep) * (weight * unknown - _around(unknown))

        # Each row is multiplied by its weight: conjugate gradients need a symmetric system.
        unknown, _ = cg(
            equations,
            (1 - keep) * _around(known),
            tol=TOLERANCE,
            maxiter=self.iterations,
            M=lambda residual: residual / weight,
        )
        drawn = self.noise.astype(image.dtype) * jax.random.normal(key, image.shape, image.dtype)
        return jnp.clip(middle + known + unknown + (1 - keep) * drawn, 0, 1)


TOLERANCE = 1e-7
"""The tolerance of the residual, relative to the right-hand side."""


def _around(values: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """Return the weighted sum of the eight neighbours, 0 beyond the border."""
    total = values
    for axis in (0, 1):
        total = 2 * total + _shifted(total, axis, 1) + _shifted(total, axis, -1)
    return total / 12 - values / 3


def _shifted(values: Float[Array, "h w c"], axis: int, by: int) -> Float[Array, "h w c"]:
    size = values.shape[axis]
    pad = [(0, 0)] * values.ndim
    pad[axis] = (by, 0) if by > 0 else (0, -by)
    start = 0 if by > 0 else -by
    return jax.lax.slice_in_dim(jnp.pad(values, pad), start, start + size, axis=axis)
