"""Optimisers that Optax does not have: Adam with one scale per map, SGD with dampening."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from fidojax.types import Scalar

SCALES = ("pixel", "map")


class MapAdamState(NamedTuple):
    """The state of Adam with one second moment for the whole map.

    Attributes:
        count: number of updates done.
        mu: first moment of every parameter.
        nu: second moment, the mean over parameters.
    """

    count: Int[Array, ""]
    mu: Float[Array, "..."]
    nu: Scalar


def adam(
    rate: optax.ScalarOrSchedule, b2: float | Scalar, scale: str
) -> optax.GradientTransformation:
    """Return Adam with b1 = 0.9 for one array of parameters.

    Args:
        rate: learning rate, or its schedule.
        b2: decay of the second moment.
        scale: "pixel" divides each parameter by its own second moment (Adam as published), "map"
            by their mean. Adam's own scale amplifies the noise of unimportant pixels to the size of
            important ones; a common scale does not.
    """
    if scale == "pixel":
        return optax.adam(rate, b1=0.9, b2=b2, eps=1e-8)  # type: ignore[arg-type]
    return optax.chain(_scale_by_map_adam(b2), optax.scale_by_learning_rate(rate))


def _scale_by_map_adam(b2: float | Scalar) -> optax.GradientTransformation:
    def init(params):
        return MapAdamState(
            jnp.zeros((), jnp.int32), jnp.zeros_like(params), jnp.zeros((), params.dtype)
        )

    def update(grads, state, params=None):
        del params
        count = state.count + 1
        t = count.astype(grads.dtype)
        mu = 0.9 * state.mu + 0.1 * grads
        nu = b2 * state.nu + (1 - b2) * jnp.mean(grads**2)
        step = (mu / (1 - 0.9**t)) / (jnp.sqrt(nu / (1 - b2**t)) + 1e-8)
        return step, MapAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


class SgdState(NamedTuple):
    """The momentum, and the number of updates done."""

    count: Int[Array, ""]
    velocity: optax.Updates


def sgd(
    rate: float | Scalar, momentum: float | Scalar, dampening: float | Scalar
) -> optax.GradientTransformation:
    """Return SGD with velocity = momentum * velocity + (1 - dampening) * gradient.

    The first gradient is not damped, as in PyTorch's SGD; `optax.sgd` has no dampening.
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
