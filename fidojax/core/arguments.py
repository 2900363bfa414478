"""What every method and metric does with its arguments before it computes."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp

from fidojax.core.contract import checked_explanation
from fidojax.core.features import HasFeatures, Rest, require_features
from fidojax.core.scores import widened
from fidojax.types import Classifier, Explanation, Image

F = TypeVar("F", bound=Callable[..., Any])


def of_one_image(function: F) -> F:
    """Decorate a method or a metric: the image and the map that it is given are at least float32.

    Half precision is exact in float32, but gradients and sums of it round and overflow. Arrays of
    a wider type keep it. The map that a method returns has the image's type. A classifier that
    takes the image in its own half precision alone is given all its pictures in that.
    """

    @functools.wraps(function)
    def call(key, classifier, image, target, *saliency, **options):
        if "saliency" in options:
            options["saliency"] = _wide_array(options["saliency"])
        given, image = jnp.asarray(image), _wide_array(image)
        if given.dtype != image.dtype and not _takes(classifier, image):
            classifier = _narrowed(classifier, given.dtype)
        result = function(key, classifier, image, target, *map(_wide_array, saliency), **options)
        if isinstance(result, Explanation):
            result = result._replace(saliency=result.saliency.astype(image.dtype))
            result = checked_explanation(result)
        return result

    return cast(F, call)


def _wide_array(values: Any) -> Any:
    return widened(jnp.asarray(values))


def _takes(classifier: Classifier, image: Image) -> bool:
    """Whether the classifier takes an image of this type, as convolutions of JAX itself do not."""
    try:
        jax.eval_shape(lambda classifier, image: classifier(image[None]), classifier, image)
    except TypeError:
        return False
    return True


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class _Narrowed:
    """A classifier that is given its pictures in a narrower type."""

    classifier: Any
    dtype: Any = dataclasses.field(metadata={"static": True})

    def __call__(self, images: Any) -> Any:
        return self.classifier(images.astype(self.dtype))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class _NarrowedFeatures(_Narrowed):
    """The same of a classifier that shows its features."""

    def tap(self, images: Any) -> tuple[Any, Rest]:
        return require_features(self.classifier).tap(images.astype(self.dtype))


def _narrowed(classifier: Classifier, dtype: Any) -> Classifier:
    kind = _NarrowedFeatures if isinstance(classifier, HasFeatures) else _Narrowed
    return kind(classifier, dtype)
