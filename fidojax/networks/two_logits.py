"""Networks of one logit and networks of independent labels, as classifiers of two classes.

    classifier = binary(network)          # the logit z of "yes" -> logits [0, z]
    classifier = multi_label(network, 7)  # the logit of the label 7 -> logits [0, z]

Target 1 is "yes" and target 0 is "no". The softmax of [0, z] is the sigmoid of z, so that every
method and metric sees the probability that the network was trained for.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fidojax.core import as_classifier, check_target, checked_output, real_target, require_features
from fidojax.types import Classifier


def binary(classifier: Callable[[Any], Any]) -> Classifier:
    """Return the classifier of a network with one logit: logits [0, z], "n 2".

    Args:
        classifier: images "n h w c" -> one logit per image, (n,) or (n, 1), before the sigmoid. Its
            features, if it shows some, are those of the result.

    Raises:
        TypeError: `classifier` cannot be called.
        ValueError: at the call: it returns more than one value per image.

    Example:
        >>> classifier = fidojax.networks.binary(network)
        >>> explanation = fidojax.rise(key, classifier, image, 1)
    """
    return _Binary(as_classifier(classifier))


def multi_label(classifier: Callable[[Any], Any], label: int | Int[Array, ""]) -> Classifier:
    """Return the classifier that tells one label of a multi-label network: logits [0, z], "n 2".

    Args:
        classifier: images "n h w c" -> logits "n k" of k independent labels, before the sigmoid.
            Its features, if it shows some, are those of the result.
        label: the label, 0 to k - 1. It is a leaf: another label does not recompile.

    Raises:
        TypeError: `classifier` cannot be called, or the label is no integer.
        ValueError: at the call: the network has no such label. The logits of a traced label that
            it does not have are NaN.

    Example:
        >>> classifier = fidojax.networks.multi_label(network, label=2)
        >>> explanation = fidojax.rise(key, classifier, image, 1)
    """
    check_target(label, 2**31)
    return _MultiLabel(as_classifier(classifier), label)


class _TwoLogits:
    """What both have in common; `two(outputs of n images, n)` are the logits."""

    classifier: Any

    def two(self, outputs: Any, count: int) -> Any:
        raise NotImplementedError

    def __call__(self, images: Any) -> Any:
        """Return the logits."""
        return self.two(self.classifier(images), len(images))

    def tap(self, images: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return the network's activations, and what makes logits of them."""
        activations, rest = require_features(self.classifier).tap(images)
        return activations, lambda activations: self.two(rest(activations), len(images))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class _Binary(_TwoLogits):
    classifier: Any

    def two(self, outputs: Any, count: int) -> Any:
        if jnp.shape(outputs) not in ((count,), (count, 1)):
            raise ValueError(
                f"binary expects one logit per image, ({count},) or ({count}, 1), got"
                f" {jnp.shape(outputs)}"
            )
        return _beside_zero(jnp.reshape(outputs, count))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class _MultiLabel(_TwoLogits):
    classifier: Any
    label: Any

    def two(self, outputs: Any, count: int) -> Any:
        logits = checked_output(outputs, count)
        real = real_target(self.label, logits.shape[-1])
        chosen = jnp.take(logits, jnp.asarray(self.label), axis=-1)
        return _beside_zero(chosen if real is None else chosen * real.astype(chosen.dtype))


def _beside_zero(logit: Any) -> Any:
    return jnp.stack([jnp.zeros_like(logit), logit], axis=-1)
