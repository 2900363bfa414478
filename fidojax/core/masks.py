"""Distributions of masks, their upsampling and their total variation.

A mask is 1 where it keeps a pixel. All functions are for one mask "h w"; `jax.vmap` makes batches.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core.separable import interpolation, separable
from fidojax.types import Mask, PRNGKey, Scalar


def bernoulli(key: PRNGKey, keep: Mask) -> Mask:
    """Draw a hard mask, which keeps each pixel independently with its probability `keep`."""
    return jax.random.bernoulli(key, keep).astype(keep.dtype)  # FIDO eq. 6, VDSM eq. 8


def concrete(noise: Mask, keep: Mask, temperature: float | Scalar) -> Mask:
    """Draw a mask from the binary Concrete relaxation of `bernoulli`, differentiable in `keep`.

    The value is sigmoid((logit keep + noise) / T). Rounded, it is an exact Bernoulli sample at any
    temperature; the gradient through the relaxed value is biased, less so at a lower T.

    Args:
        noise: standard logistic noise, `jax.random.logistic`, one value per pixel; it equals
            logit u for u uniform in (0, 1). `-noise` is the antithetic draw.
        keep: keep probability in [0, 1].
        temperature: positive; FIDO uses 0.1.

    Reference: Maddison et al. 2017; FIDO section 3.1.
    """
    # The authors add 2.2e-16 inside the logarithms, which in float32 moves exact zeros only. XLA
    # reassociates 1 - keep + eps into 1 - keep, whose gradient at keep = 1 is nan; a maximum stays.
    eps = jnp.asarray(2.2e-16, keep.dtype)
    logit = jnp.log(jnp.maximum(keep, eps)) - jnp.log(jnp.maximum(1 - keep, eps))
    return jax.nn.sigmoid((logit + noise) / temperature)


def upsample(mask: Float[Array, "rows columns"], shape: tuple[int, ...]) -> Mask:
    """Interpolate a mask bilinearly to the sides `shape`, corners on corners (align_corners=True).

    A mask that has these sides is returned as it is.
    """
    if mask.shape == tuple(shape):
        return mask
    rows, columns = (
        interpolation(jnp.linspace(0.0, size - 1, new, dtype=mask.dtype), size)
        for size, new in zip(mask.shape, shape, strict=True)
    )
    return separable(mask, rows, columns)


def total_variation(mask: Mask) -> Scalar:
    """Return the sum of the squared differences of all neighbours, down and across.

    Reference: Fong & Vedaldi 2017, as FIDO's authors run it (exponent 2, a sum).
    """
    return jnp.sum(jnp.diff(mask, axis=0) ** 2) + jnp.sum(jnp.diff(mask, axis=1) ** 2)
