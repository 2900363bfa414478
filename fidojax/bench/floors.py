"""Bare passes of a classifier: the floor under every explanation."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from fidojax.core import log_odds
from fidojax.transforms import in_precision
from fidojax.types import Classifier


@jax.jit
def bare_forward(classifier: Classifier, images: Any) -> Any:
    """Return the logits."""
    return classifier(images)


@functools.partial(jax.jit, static_argnames="times")
def bare_gradient(classifier: Classifier, images: Any, targets: Any, times: int = 1) -> Any:
    """Return the sum of the scores and its gradient: the floor of an explanation step.

    Args:
        times: the number of passes in one call, the floor of a call with that many steps.
    """

    def total(images):
        return jnp.sum(jax.vmap(log_odds)(classifier(images), targets))

    def again(images, _):
        score, slope = jax.value_and_grad(total)(images)
        return images + 1e-20 * slope, score  # no pass can be left out

    if times == 1:
        return jax.value_and_grad(total)(images)
    return jax.lax.scan(again, images, length=times)


def operations(classifier: Classifier, size: tuple[int, int, int]) -> tuple[float, float]:
    """Return the floating point operations of a forward pass, and of one with its gradient.

    Both are for one picture and come from the programs before XLA compiles them.
    """
    images = jax.ShapeDtypeStruct((1, *size), jnp.float32)
    targets = jax.ShapeDtypeStruct((1,), jnp.int32)
    return (
        counted(bare_forward.lower(classifier, images)),
        counted(bare_gradient.lower(classifier, images, targets)),
    )


def counted(lowered: jax.stages.Lowered) -> float:
    """Return the floating point operations of a program; 0 where the backend does not report them.

    Operations inside a loop count once.
    """
    analysis: Any = lowered.cost_analysis()
    return float((analysis or {}).get("flops", 0.0))


SIDE = {"cpu": 1024}
"""The sides of the matrices: large enough that reading them costs little beside multiplying."""
OTHER_SIDE = 8192
"""The side on backends that `SIDE` does not name."""


class Product(NamedTuple):
    """A product of two square matrices: the ceiling of the speed of a network.

    Attributes:
        call: the function that computes it.
        operations: its number of floating point operations.
    """

    call: Callable[[], Any]
    operations: float


def matrix_product(precision: str) -> Product:
    """Return a product on the first device, in a precision of `PRECISIONS`."""
    side = SIDE.get(jax.default_backend(), OTHER_SIDE)
    matrix = jax.random.normal(jax.random.key(0), (side, side))
    product = jax.jit(in_precision(Partial(jnp.matmul, matrix), precision))
    return Product(lambda: product(matrix), 2.0 * side**3)
