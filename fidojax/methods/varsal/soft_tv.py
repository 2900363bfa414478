"""The prior that neighbouring pixels of a saliency map agree: VarSal's soft-TV Gaussian.

The covariance of the pixels of an h x w map is the Kronecker product of K_h and K_w, tridiagonal
with 1 on the diagonal and alpha beside it: 1 for a pixel itself, alpha for its four neighbours,
alpha^2 for the diagonal ones, 0 for all others. Everything here costs O(h w); no matrix is formed.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.types import Scalar

Map = Float[Array, "h w"]


def soft_tv_kl(mean: Map, log_variance: Map, alpha: float = 0.4) -> Scalar:
    """KL of the Gaussian with independent pixels N(mean, exp(log_variance)) to the soft-TV prior.

    In nats, exact, with all its constants: 0 where both are the same.

    Args:
        alpha: covariance of neighbours, at least 0 and less than 0.5; the paper's 0.4. At 0 this is
            `standard_normal_kl`.

    Raises:
        ValueError: alpha is out of its range, where the prior's covariance is positive definite
            whatever the size.

    Reference: VarSal section 3.3 and appendix D.
    """
    height, width = mean.shape
    (rows, row_log), (columns, column_log) = (inverse(n, alpha) for n in mean.shape)
    rows, columns = (jnp.asarray(diagonal, mean.dtype) for diagonal in (rows, columns))
    smooth = _solve(_solve(mean, alpha).T, alpha).T
    trace = rows @ jnp.exp(log_variance) @ columns  # VarSal eq. 9
    square = jnp.sum(mean * smooth)  # VarSal eq. 10
    entropy = width * row_log + height * column_log - jnp.sum(log_variance)  # VarSal eq. 11
    return 0.5 * (trace + square - mean.size + entropy)  # VarSal eq. 8


def standard_normal_kl(mean: Map, log_variance: Map) -> Scalar:
    """KL of N(mean, exp(log_variance)) to the standard normal distribution of each pixel."""
    return 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance)


def inverse(size: int, alpha: float = 0.4) -> tuple[np.ndarray, float]:
    """Diagonal of K^-1, and log|K|, of the tridiagonal K of that size, in closed form.

    With r and s the roots of x^2 - x + alpha^2, |K| of size n is (r^(n+1) - s^(n+1)) / (r - s), and
    a diagonal element of the inverse is the product of the determinants of what is above and below
    it, over |K|.

    Raises:
        ValueError: alpha is not at least 0 and less than 0.5.
    """
    if not 0 <= alpha < 0.5:
        raise ValueError(f"alpha is {alpha}, expected at least 0 and less than 0.5")
    gap = math.sqrt((1 - 2 * alpha) * (1 + 2 * alpha))  # r - s
    root = (1 + gap) / 2
    ratio = (alpha / root) ** 2  # s / r, without the cancellation in s
    above = np.arange(1, size + 1)
    rest = 1 - ratio ** (size + 1)
    diagonal = (1 - ratio**above) * (1 - ratio ** above[::-1]) / (gap * rest)
    return diagonal, size * math.log(root) + math.log(rest) - math.log(1 - ratio)


def _solve(values: Map, alpha: float) -> Map:
    """K^-1 applied to each column."""
    size, dtype = values.shape[0], values.dtype
    beside = jnp.full(size, alpha, dtype)
    lower, upper = beside.at[0].set(0), beside.at[-1].set(0)
    return jax.lax.linalg.tridiagonal_solve(lower, jnp.ones(size, dtype), upper, values)
