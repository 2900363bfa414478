"""The most operations per second that this device does: those of a large matrix product."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from fidojax.precision import lowered

SIDE = {"cpu": 1024}
OTHER_SIDE = 8192
"""Sides of the matrices: large enough that reading them costs nothing beside multiplying them."""


class Product(NamedTuple):
    """A product of two square matrices, to be timed beside what it is the ceiling of.

    Attributes:
        call: does it.
        operations: floating point operations.
    """

    call: Callable[[], Any]
    operations: float


def matrix_product(precision: str) -> Product:
    """On the first device, in a precision of `fidojax.precision`."""
    side = SIDE.get(jax.default_backend(), OTHER_SIDE)
    matrix = jax.random.normal(jax.random.key(0), (side, side))
    product = jax.jit(lowered(Partial(jnp.matmul, matrix), precision))
    return Product(lambda: product(matrix), 2.0 * side**3)
