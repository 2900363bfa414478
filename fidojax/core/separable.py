"""Separable linear maps of pictures: one matrix acts on the rows, another on the columns."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def interpolation(at: Float[Array, " n"], size: int) -> Float[Array, "n size"]:
    """Return the weights of linear interpolation at the places `at` between samples 0, 1, ..."""
    return jnp.maximum(0.0, 1.0 - jnp.abs(at[:, None] - jnp.arange(size, dtype=at.dtype)))


def separable(
    values: Float[Array, "a b *c"], rows: Float[Array, "i a"], columns: Float[Array, "j b"]
) -> Float[Array, "i j *c"]:
    """Apply a matrix to the rows of a map or picture and another to its columns.

    The matrix products are fast on every device and in both directions, and they have the full
    precision of float32.
    """
    if values.ndim == 2:
        return jnp.einsum("ia,ab,jb->ij", rows, values, columns, precision="highest")
    return jnp.einsum("ia,jb,abc->ijc", rows, columns, values, precision="highest")
