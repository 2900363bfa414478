"""A classifier evaluated in less precision than float32, where the hardware is faster at it.

    explanation = fido(key, lowered(classifier, "bfloat16"), image, target, infill=infill)

Only convolutions and matrix products are computed in it, and their gradients; what is between them,
masks, infills, scores and the optimiser stay in float32, and so do the weights that are stored.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jax.tree_util import Partial

from fidojax.core import Split, Tapped, check_name
from fidojax.transforms import interpreter
from fidojax.types import Classifier

PRECISIONS = ("float32", "tf32", "bfloat16")
_PRODUCTS = ("conv_general_dilated", "dot_general")


def in_precision(classifier: Classifier, precision: str) -> Classifier:
    """The same classifier with its convolutions and matrix products in a named precision.

    The result is again a callable pytree with the classifier's weights as its leaves, in float32.
    Products inside the classifier's own loops and custom derivatives stay as they are.

    Args:
        precision: "float32" keeps all 24 bits of the factors, also where JAX by itself would take
            the faster TF32 (on NVIDIA GPUs); "tf32" rounds factors to 11 bits and sums in float32,
            on devices that have it (CPUs keep float32); "bfloat16" rounds factors and results to 8
            bits.

    Raises:
        ValueError: there is no such precision.
    """
    check_name("precision", precision, PRECISIONS)
    if isinstance(classifier, Split):
        return Split(
            in_precision(classifier.features, precision), in_precision(classifier.head, precision)
        )
    if isinstance(classifier, Tapped):
        return classifier.wrapped(Partial(LOWER[precision]))
    return InPrecision(classifier, precision)


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["classifier"], meta_fields=["precision"]
)
@dataclasses.dataclass(frozen=True, eq=False)
class InPrecision:
    """A classifier that is evaluated in a precision."""

    classifier: Classifier
    precision: str

    def __call__(self, images: Any) -> Any:
        """The logits."""
        return interpreter.evaluate(_RULES[self.precision], self.classifier, images)


def _lowering(precision: str) -> Callable[[Classifier], Classifier]:
    return lambda classifier: InPrecision(classifier, precision)


LOWER = {name: _lowering(name) for name in PRECISIONS}
"""What makes a classifier one that is evaluated in the precision; always the same functions."""


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
