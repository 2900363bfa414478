"""Gradient descent with damped momentum, whose first step is not damped."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from fidojax.types import Scalar


class SgdState(NamedTuple):
    """The momentum, and the number of updates done."""

    count: Int[Array, ""]
    velocity: optax.Updates


def sgd(
    rate: float | Scalar, momentum: float | Scalar, dampening: float | Scalar
) -> optax.GradientTransformation:
    """velocity = momentum * velocity + (1 - dampening) * gradient, but the first gradient is whole.

    So PyTorch's SGD defines it; `optax.sgd` knows no dampening.
    """

    def init(params):
        return SgdState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(grads, state, params=None):
        del params
        share = jnp.where(state.count == 0, 1.0, 1.0 - dampening)
        velocity = jax.tree.map(
            lambda v, g: momentum * v + share.astype(g.dtype) * g, state.velocity, grads
        )
        return jax.tree.map(lambda v: -rate * v, velocity), SgdState(state.count + 1, velocity)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]
