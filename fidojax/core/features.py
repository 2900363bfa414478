"""Classifiers that give access to the features of one layer, which Grad-CAM needs.

    classifier = Split(features, head)  # head(features(images)) are the logits

Any method takes it like any other classifier. `fidojax.networks` makes the same of a Flax or Keras
network by the name of a layer, and what `fidojax.networks.load` returns has its features named.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jax.tree_util import Partial

from fidojax.types import Classifier

Rest = Callable[[Any], Any]
"""`rest(activations) -> logits "n k"`."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A classifier in two parts. It is a callable pytree if both parts are.

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
        """Return the activations and the function from activations to logits."""
        return self.features(images), self.head


def _unchanged(classifier: Classifier) -> Classifier:
    return classifier


def _one_by_one(first: Partial, second: Partial, classifier: Classifier) -> Classifier:
    return second(first(classifier))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Tapped:
    """A classifier that is evaluated as a whole and can return the activations of one layer.

    It holds the weights once; called with images it is `classifier`.

    Attributes:
        classifier: the whole network.
        features: `features(classifier, images) -> activations`, a pytree without leaves.
        rest: `rest(classifier, images, activations) -> logits`, the same network with the layer's
            output given, a pytree without leaves.
        wrap: what to do to each of these three before it is called with images or activations.
    """

    classifier: Classifier
    features: Partial
    rest: Partial
    wrap: Partial = dataclasses.field(default_factory=lambda: Partial(_unchanged))

    def wrapped(self, wrap: Partial) -> "Tapped":
        """The same with one thing more done to its parts, after what is done already."""
        return dataclasses.replace(self, wrap=Partial(_one_by_one, self.wrap, wrap))

    def ends_with(self, function: Callable[..., Any]) -> bool:
        """Whether this is what was done last."""
        return self.wrap.func is _one_by_one and self.wrap.args[1].func is function

    def __call__(self, images: Any) -> Any:
        """Return the logits."""
        return self.wrap(self.classifier)(images)

    def tap(self, images: Any) -> tuple[Any, Rest]:
        """Return the activations and the function from activations to logits."""
        features = self.wrap(Partial(_features, self.features, self.classifier))
        return features(images), self.wrap(Partial(_rest, self.rest, self.classifier, images))


def _features(features, classifier, images):
    return features(classifier, images)


def _rest(rest, classifier, images, activations):
    return rest(classifier, images, activations)
