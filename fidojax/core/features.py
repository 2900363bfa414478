"""Classifiers that show the activations of one layer, and classifiers that are evaluated otherwise.

    classifier = Split(features, head)  # head(features(images)) are the logits
    classifier = Transformed(classifier, jax.checkpoint)  # the same logits, in less memory

Every method takes both like any other classifier. Grad-CAM asks for the protocol `HasFeatures`,
which any class with a method `tap` has.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
from jax.tree_util import Partial

from fidojax.types import Classifier

Rest = Callable[[Any], Any]
"""`rest(activations) -> logits "n k"`: what follows the layer."""
Transform = Callable[[Callable[[Any], Any]], Callable[[Any], Any]]
"""`transform(function)` evaluates the same function of one pytree otherwise, as `jax.jit` does."""


@runtime_checkable
class HasFeatures(Protocol):
    """A classifier that shows the activations of one of its layers."""

    def __call__(self, images: Any, /) -> Any:
        """Return the logits, "n k"."""
        ...

    def tap(self, images: Any, /) -> tuple[Any, Rest]:
        """Return the layer's activations, "n rows columns channels", and what follows the layer.

        `rest(activations)` are the logits of these images, and may be differentiated.
        """
        ...


def require_features(classifier: Any) -> HasFeatures:
    """Return the classifier; raise a TypeError that says what to pass if it shows no features."""
    if isinstance(classifier, HasFeatures):
        return classifier
    raise TypeError(
        f"classifier shows no features (a {type(classifier).__name__}): pass"
        " fidojax.Split(features, head), or name the layer in its adapter,"
        " from_nnx(module, layer=NAME)"
    )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A classifier in two parts; a callable pytree if both parts are.

    Attributes:
        features: images "n h w c" -> activations "n rows columns channels".
        head: activations -> logits "n k".
    """

    features: Callable[[Any], Any]
    head: Rest

    def __call__(self, images: Any) -> Any:
        """Return the logits."""
        return self.head(self.features(images))

    def tap(self, images: Any) -> tuple[Any, Rest]:
        """Return the activations and the head."""
        return self.features(images), self.head


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Transformed:
    """A classifier evaluated by a transform: `transform(classifier)(images)`.

    A callable pytree with the classifier's weights as its leaves, so that new weights do not
    retrace. It shows features if the classifier does, and transforms both parts.

    Attributes:
        classifier: a callable pytree.
        transform: changes how the classifier is evaluated (its precision, its operations, its
            devices) and not what it computes, since methods that read the classifier's program
            leave it out (`untransformed`). Hashable, and equal to itself between calls: a function
            of a module, or a frozen dataclass with `__call__`. The function that it transforms
            takes the images, or a pytree of arrays that share the images' first axis.
    """

    classifier: Classifier
    transform: Transform = dataclasses.field(metadata={"static": True})

    def __call__(self, images: Any) -> Any:
        """Return the logits."""
        return self.transform(self.classifier)(images)

    def tap(self, images: Any) -> tuple[Any, Rest]:
        """Return the classifier's activations and what follows them, both by the transform."""
        classifier = require_features(self.classifier)
        activations = self.transform(Partial(_activations, classifier))(images)
        rest = self.transform(Partial(_logits, classifier))
        return activations, lambda activations: rest((images, activations))


def _activations(classifier: HasFeatures, images: Any) -> Any:
    return classifier.tap(images)[0]


def _logits(classifier: HasFeatures, inputs: tuple[Any, Any]) -> Any:
    images, activations = inputs
    return classifier.tap(images)[1](activations)


def untransformed(classifier: Classifier) -> Classifier:
    """Return the classifier without its transforms, also where they wrap parts of it."""

    def unwrap(node: Any) -> Any:
        return untransformed(node.classifier) if isinstance(node, Transformed) else node

    return jax.tree.map(unwrap, classifier, is_leaf=lambda node: isinstance(node, Transformed))
