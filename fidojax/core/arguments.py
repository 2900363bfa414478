"""What every method and metric does with its arguments before it computes: the one door.

Static facts are checked: names, kinds, shapes and types of numbers. The value of a target is
checked where it is known, and nothing else is, so that the door costs the same under `jax.jit`.
"""

import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.core.contract import check_index, checked_explanation
from fidojax.core.features import HasFeatures, Rest, require_features
from fidojax.core.functions import check_callable
from fidojax.core.options import checked_options, known_options
from fidojax.core.scores import widened
from fidojax.types import Classifier, Explanation, Image

F = TypeVar("F", bound=Callable[..., Any])


def of_one_image(function: F) -> F:
    """Decorate a method or a metric: its arguments are checked, and its image is at least float32.

    Half precision is exact in float32, but gradients and sums of it round and overflow. Arrays of
    a wider type keep it. The map that a method returns has the image's type. A classifier that
    takes the image in its own half precision alone is given all its pictures in that.

    The decorated function raises TypeError or ValueError where an argument is missing or is none,
    an option is unknown, required and missing, or of the wrong kind. It takes infillers by name.
    """
    placed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]

    known = functools.cache(lambda: known_options(call, len(placed)))

    @functools.wraps(function)
    def call(*given, **options):
        arguments: list[Any] = _placed(call.__name__, placed, given, options)
        key, classifier, image, target, *saliency = arguments
        check_key(key)
        if arguments[1] is not None:  # controls need no classifier
            check_callable(arguments[1])
        image = _as_array(image)
        check_picture("image", np.shape(image), getattr(image, "dtype", None))
        check_index(target)
        options = checked_options(known(), options)
        given, image = jnp.asarray(image), _wide_array(image)
        if given.dtype != image.dtype and not _takes(classifier, image):
            classifier = _narrowed(classifier, given.dtype)
        result = function(key, classifier, image, target, *map(_wide_array, saliency), **options)
        if isinstance(result, Explanation):
            result = result._replace(saliency=result.saliency.astype(image.dtype))
            result = checked_explanation(result)
        return result

    return cast(F, call)


def _placed(
    name: str, placed: Sequence[str], given: Sequence[Any], options: dict[str, Any]
) -> list[Any]:
    """Return the arguments before the options; those given by name are taken out of the options.

    Raises:
        TypeError: one is missing, is given twice, or an option is given without its name.
    """
    form = f"{name}({', '.join(placed)}, ...)"
    if len(given) > len(placed):
        raise TypeError(f"{name} takes its options by name: {form.replace('...', 'NAME=...')}")
    twice = [each for each in placed[: len(given)] if each in options]
    if twice:
        raise TypeError(f"{name} got its argument {twice[0]} twice, expected {form}")
    missing = [each for each in placed[len(given) :] if each not in options]
    if missing:
        raise TypeError(f"{name} needs its argument {missing[0]}, expected {form}")
    return [*given, *(options.pop(each) for each in placed[len(given) :])]


def check_key(key: Any) -> None:
    """Check that a key is one random key; None is left to functions that draw nothing.

    Raises:
        TypeError: it is none.
        ValueError: it is several.
    """
    kind = getattr(key, "dtype", None)
    typed = kind is not None and jnp.issubdtype(kind, jax.dtypes.prng_key)
    if typed and key.shape:
        raise ValueError(f"key has shape {key.shape}, expected one key: jax.vmap maps over several")
    # The older form of keys, `jax.random.PRNGKey`, is an array of unsigned integers.
    older = kind is not None and np.ndim(key) == 1 and jnp.issubdtype(kind, jnp.unsignedinteger)
    if key is not None and not typed and not older:
        whole = isinstance(key, int | np.integer) and not isinstance(key, bool)
        shown = repr(key) if isinstance(key, int | float | str) else f"a {type(key).__name__}"
        made = f"jax.random.key({key})" if whole else "jax.random.key(0)"
        raise TypeError(f"key is {shown}, expected a random key: {made}")


def check_picture(what: str, shape: tuple[int, ...], dtype: Any = None) -> None:
    """Check the shape and the type of one picture.

    Args:
        what: the argument, for messages.
        shape: of the picture, expected to be (h, w, c).
        dtype: of its values; None where it is not looked at.

    Raises:
        TypeError: the values are integers.
        ValueError: the shape is another one.
    """
    if len(shape) == 4:
        raise ValueError(
            f"{what} has shape {shape}, expected one picture (h, w, c): fidojax.explain_batch and"
            " fidojax.measure_batch take a batch, or jax.vmap"
        )
    if len(shape) == 2:
        raise ValueError(
            f"{what} has shape {shape}, expected (h, w, c): [..., None] adds a channel"
        )
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"{what} has shape {shape}, expected (h, w, c), none of them 0")
    if shape[0] in (1, 3, 4) and min(shape[1:]) > 16:
        raise ValueError(
            f"{what} has shape {shape}, which seems to be (c, h, w), expected (h, w, c):"
            " jnp.moveaxis(..., -3, -1) puts the channels last"
        )
    if dtype is not None and not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"{what} is of type {dtype}, expected floating numbers in [0, 1]: divide by 255"
        )


def with_advice(advice: str) -> Callable[[F], F]:
    """Return a decorator that answers an unknown keyword argument with a similar one, or an advice.

    Args:
        advice: a clause, in which "{name}" is the argument's name.

    Raises:
        TypeError: when the function is called with an argument that it does not have.
    """

    def decorate(function: F) -> F:
        known = [*inspect.signature(function).parameters]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for name in kwargs:
                if name not in known:
                    near = difflib.get_close_matches(name, known, 1, 0.8)
                    said = f"did you mean {near[0]}?" if near else advice.replace("{name}", name)
                    raise TypeError(f"{function.__name__}: there is no argument {name!r}; {said}")
            return function(*args, **kwargs)

        return cast(F, call)

    return decorate


def _as_array(image: Any) -> Any:
    """Return a picture as an array: lists, pictures of Pillow and tensors are read as such.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(image, jax.Array | np.ndarray):
        return image
    expected = "expected an array (h, w, c) with values in [0, 1]"
    if isinstance(image, str) or hasattr(image, "__fspath__"):
        raise TypeError(f"image is {str(image)!r}, {expected}: fidojax.data.pictures reads files")
    try:
        array = image if isinstance(image, list | tuple) else np.asarray(image)
        return jnp.asarray(array)
    except (TypeError, ValueError):
        raise TypeError(f"image is of type {type(image).__name__}, {expected}") from None


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
