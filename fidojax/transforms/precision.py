"""Evaluate a classifier in less precision than float32, where the hardware is faster at it.

    explanation = fido(key, in_precision(classifier, "bfloat16"), image, target, infill=infill)

Only convolutions, matrix products and their gradients are computed in that precision. The other
operations, masks, infills, scores, the optimiser and the stored weights stay in float32.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.extend import core

from fidojax.core import Transformed, check_name
from fidojax.transforms import interpreter
from fidojax.types import Classifier

PRECISIONS = ("float32", "tf32", "bfloat16")
"""The names of the precisions, the highest first."""

_PRODUCTS = ("conv_general_dilated", "dot_general")


def in_precision(classifier: Classifier, precision: str) -> Classifier:
    """Return the classifier with its convolutions and matrix products in a named precision.

    The result is a callable pytree with the classifier's weights as its leaves, in float32.
    Products inside the classifier's own loops and custom derivatives are not changed.

    Args:
        precision: "float32" keeps all 24 bits of the factors, also where JAX by itself would take
            the faster TF32 (on NVIDIA GPUs); "tf32" rounds factors to 11 bits and sums in float32,
            on devices that support it (CPUs keep float32); "bfloat16" rounds factors and results to
            8 bits.

    Raises:
        ValueError: there is no such precision.
    """
    check_name("precision", precision, PRECISIONS)
    return Transformed(classifier, Precision(precision))


@dataclasses.dataclass(frozen=True)
class Precision:
    """The transform that evaluates a function's products in the precision of this name."""

    name: str

    def __call__(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return the same function, evaluated in this precision."""
        return functools.partial(interpreter.evaluate, _RULES[self.name], function)


def _product(precision: str, eqn: core.JaxprEqn, *operands: Any) -> list:
    inner = interpreter.body(eqn)
    if inner is not None and not eqn.primitive.name.startswith("custom"):
        return interpreter.run(_RULES[precision], inner, list(operands))
    if eqn.primitive.name not in _PRODUCTS or any(x.dtype != jnp.float32 for x in operands):
        return interpreter.bind(eqn, *operands)
    params = dict(eqn.params)
    if precision == "bfloat16":
        params |= {"precision": None, "preferred_element_type": jnp.dtype(jnp.bfloat16)}
        operands = tuple(jnp.asarray(x, jnp.bfloat16) for x in operands)
    else:
        params["precision"] = (_DIGITS[precision],) * 2
    return [eqn.primitive.bind(*operands, **params).astype(jnp.float32)]


_DIGITS = {"float32": lax.Precision.HIGHEST, "tf32": lax.Precision.HIGH}
_RULES = {name: functools.partial(_product, name) for name in PRECISIONS}
