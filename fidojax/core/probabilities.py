"""Probabilities taken for logits: classifiers are recognised by what they return."""

import collections
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jaxtyping import Float

from fidojax.core.contract import compiled_logits
from fidojax.core.features import untransformed
from fidojax.types import Classifier, Image

TOLERANCE = 0.01
"""How far the sum of probabilities may be from 1: sums of half precision round."""

PROBABILITIES, LOG_PROBABILITIES, SHARES = "probabilities", "log-probabilities", "shares"
SAYS = {
    PROBABILITIES: "classifier returns probabilities: all outputs lie in [0, 1] and add up to 1;"
    " expected logits, the values before the softmax: leave the softmax out (in Keras"
    " activation=None or classifier_activation=None), or return the probabilities' logarithm",
    LOG_PROBABILITIES: "classifier returns log-probabilities, so that the score 'logit' is log p"
    " and not the value before the softmax: leave the log_softmax out, or choose another score",
    SHARES: "classifier returns values in [0, 1] alone, as a sigmoid does; expected logits, the"
    " values before it: leave the sigmoid out, and wrap a network of one or of independent labels"
    " by fidojax.networks.binary or multi_label",
}
"""What is said of outputs that seem to be no logits."""


class ProbabilityWarning(UserWarning):
    """A classifier seems to return probabilities where logits are expected."""


def output_kind(outputs: Float[np.ndarray, "n k"]) -> str | None:
    """Return what a classifier's outputs seem to be, a key of `SAYS`, or None for logits."""
    low, high = np.min(outputs), np.max(outputs)
    if not np.isfinite(low + high) or low == high:
        return None
    if low >= 0 and high <= 1:
        return PROBABILITIES if _add_up(outputs) else SHARES
    return LOG_PROBABILITIES if high <= TOLERANCE and _add_up(np.exp(outputs)) else None


def check_outputs(
    classifier: Classifier,
    image: Image | np.ndarray,
    *,
    score: str | None = None,
    strict: bool = False,
) -> None:
    """Warn if a classifier seems to return probabilities.

    It is evaluated on four pictures, the image, its negative, black and white, once for each
    structure and shape; a network whose program ends in a layer with a bias is taken at its word.
    Log-probabilities have the same softmax as logits, so they matter to the score "logit" alone.

    Args:
        classifier: a callable pytree that `fidojax.core.check_classifier` accepts.
        image: one picture.
        score: the score that is computed, if one is known.
        strict: raise an error instead.

    Warns:
        ProbabilityWarning: the outputs seem to be no logits.

    Raises:
        ValueError: the same, if `strict`.
    """
    kind = _kind(untransformed(classifier), np.asarray(image))
    if kind is None or (kind == LOG_PROBABILITIES and score != "logit"):
        return
    if strict:
        raise ValueError(SAYS[kind])
    warnings.warn(SAYS[kind], ProbabilityWarning, stacklevel=3)


_kinds: collections.OrderedDict[Any, str | None] = collections.OrderedDict()
"""What classifiers return, by their structures and shapes; the latest `REMEMBERED`."""
REMEMBERED = 64


def _kind(classifier: Classifier, image: np.ndarray) -> str | None:
    leaves, structure = jax.tree.flatten((classifier, image))
    key = structure, *((np.shape(leaf), _dtype(leaf)) for leaf in leaves)
    if key not in _kinds:
        pictures = np.stack([image, 1 - image, np.zeros_like(image), np.ones_like(image)])
        program = compiled_logits.trace(classifier, pictures).jaxpr.jaxpr
        kind = None
        if not _ends_in_layer(program, program.outvars[0]):
            outputs = compiled_logits(classifier, pictures)
            kind = output_kind(np.asarray(outputs, np.float32))
        _kinds[key] = kind
        if len(_kinds) > REMEMBERED:
            _kinds.popitem(last=False)
    return _kinds[key]


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)


def _ends_in_layer(program: core.Jaxpr, value: Any) -> bool:
    """Whether a value of a program is a product with weights plus a bias, in another shape or type.

    A product alone may be one of probabilities: it adds up those of a class's parts.
    """
    made = _made_by(program, value)
    if made is None:
        return False
    inner = next((made.params[name] for name in _BODIES if name in made.params), None)
    if inner is not None:
        inner = getattr(inner, "jaxpr", inner)
        return _ends_in_layer(inner, inner.outvars[made.outvars.index(value)])
    if made.primitive.name in ("add", "add_any"):
        sources = (_made_by(program, operand) for operand in made.invars)
        return any(source and source.primitive.name in _PRODUCTS for source in sources)
    return False


def _made_by(program: core.Jaxpr, value: Any) -> core.JaxprEqn | None:
    """Return the operation that computes a value, changes of shape and type left out."""
    for eqn in reversed(program.eqns):
        if value in eqn.outvars:
            if eqn.primitive.name in _SAME_VALUES:
                return _made_by(program, eqn.invars[0])
            return eqn
    return None


_SAME_VALUES = ("convert_element_type", "copy", "reshape", "squeeze", "stop_gradient")
_PRODUCTS = ("conv_general_dilated", "dot_general")
_BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def _add_up(shares: np.ndarray) -> bool:
    return bool(np.all(np.abs(shares.sum(axis=-1) - 1) <= TOLERANCE))
