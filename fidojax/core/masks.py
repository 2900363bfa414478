"""Mask distributions and their regulariser: Bernoulli, Concrete, upsampling, total variation.

1 = keep. All functions are for one mask "h w"; batches are `jax.vmap`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.types import Mask, PRNGKey, Scalar


def bernoulli(key: PRNGKey, keep: Mask) -> Mask:
    """A hard mask: every pixel is kept independently with its probability `keep` in [0, 1]."""
    return jax.random.bernoulli(key, keep).astype(keep.dtype)  # FIDO eq. 6, VDSM eq. 8


def concrete(noise: Mask, keep: Mask, temperature: float | Scalar) -> Mask:
    """The binary Concrete relaxation of `bernoulli`, differentiable in `keep`.

    sigmoid((logit keep + noise) / T). Rounded, it is an exact Bernoulli sample at any temperature;
    the gradient through the relaxed value is biased, the less the lower T is.

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
    """Bilinear interpolation to the two sides of `shape`, corners on corners (align_corners=True).

    Written as two small matrix products, which are fast on every device and in both directions.
    """
    if mask.shape == tuple(shape):
        return mask
    rows = _interpolation(mask.shape[0], shape[0], mask.dtype)
    columns = _interpolation(mask.shape[1], shape[1], mask.dtype)
    return jnp.einsum("ia,ab,jb->ij", rows, mask, columns, precision="highest")


def _interpolation(size: int, new: int, dtype: jnp.dtype) -> Float[Array, "new size"]:
    at = jnp.linspace(0.0, size - 1, new, dtype=dtype)[:, None]
    return jnp.maximum(0.0, 1.0 - jnp.abs(at - jnp.arange(size, dtype=dtype)))


def total_variation(mask: Mask) -> Scalar:
    """Sum of the squared differences of all neighbours, down and across.

    Reference: Fong & Vedaldi 2017, as FIDO's authors run it (exponent 2, a sum).
    """
    return jnp.sum(jnp.diff(mask, axis=0) ** 2) + jnp.sum(jnp.diff(mask, axis=1) ** 2)
