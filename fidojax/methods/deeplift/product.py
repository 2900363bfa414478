"""Elementwise operations of two values that are not functions of one value: products and the rest.

The difference of a product is each factor's difference times the mean of the other's two values;
both terms sum to it exactly. It is the average over the two orders of changing the factors one
after the other, as in RevealCancel. A quotient is the product with the reciprocal, and so on.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend import core

from fidojax.methods.deeplift.value import Value, added, mean_of, reveal_of, scaled

REWRITTEN: dict[str, Callable] = {
    "div": lambda x, y: x * (1 / y),
    "max": lambda x, y: (x + y + jnp.abs(x - y)) / 2,
    "min": lambda x, y: (x + y - jnp.abs(x - y)) / 2,
    "pow": lambda x, y: jnp.exp(y * jnp.log(x)),
}
"""Operations as sums, products and functions of one value, each of which has a rule."""


def product(one: Value, other: Value) -> list:
    """Return one value times another."""
    return [
        Value(
            one.image * other.image,
            one.reference * other.reference,
            added(scaled(mean_of(other), one.parts), scaled(mean_of(one), other.parts)),
            reveal_of([one, other]),
        )
    ]


def rewritten(name: str, *values: Value) -> core.ClosedJaxpr:
    """Return the program of an operation of `REWRITTEN` of these values."""
    return jax.make_jaxpr(REWRITTEN[name])(*[value.image for value in values])
