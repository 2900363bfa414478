"""Maxima and minima: the whole difference belongs to the element that holds the higher maximum.

With x above the reference that is the picture's largest element, else the reference's: the one
whose own difference is at least the maximum's. Ties are those of JAX's gradient: maximum pooling
takes the first of them, a reduction shares.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fidojax.methods.deeplift.value import NEAR_ZERO, Value, change, scaled
from fidojax.transforms import interpreter

EXTREMES = {"reduce_max": 1, "reduce_window_max": 1, "reduce_min": -1, "reduce_window_min": -1}
"""The operations of pooling: 1 for maxima, -1 for minima."""


def extreme(eqn, value: Value) -> list:
    def pool(x: Any) -> Any:
        return interpreter.bind(eqn, x)[0]

    image, reference = pool(value.image), pool(value.reference)
    leaving = change(image, reference)
    of_image = EXTREMES[eqn.primitive.name] * leaving >= 0

    def holder(part: Any) -> Any:
        return jnp.where(
            of_image,
            jax.jvp(pool, (value.image,), (part,))[1],
            jax.jvp(pool, (value.reference,), (part,))[1],
        )

    entering = holder(change(value.image, value.reference))
    flat = jnp.abs(entering) < NEAR_ZERO
    share = jnp.where(flat, 1, leaving / jnp.where(flat, 1, entering))
    parts = scaled(share, tuple(holder(part) for part in value.parts))
    return [Value(image, reference, parts, value.root.reveal)]
