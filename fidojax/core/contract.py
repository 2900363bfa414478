"""The contract: a classifier makes logits "n k" of images "n h w c", a target is in 0 ... k - 1.

Shapes and types are known while a function is traced, so `logits_of` refuses a wrong output
everywhere: in pure functions, under `jax.jit` and in the engine. `check_classifier` does the same
before a run begins. The value of a target is checked where it is concrete; where it is traced, all
scores of a target that is no class, and their gradients, are NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from fidojax.core.features import untransformed
from fidojax.types import Classifier, Explanation, Image, Images


def logits_of(classifier: Classifier, images: Images) -> Float[Array, "n k"]:
    """Return the classifier's logits of a batch of images; every method and metric calls it.

    Raises:
        TypeError: the output is no array of floating numbers, or the classifier leaves JAX.
        ValueError: the output has another shape than (n, k) with at least 2 classes.
    """
    try:
        output = classifier(images)
    except jax.errors.TracerArrayConversionError as error:
        raise TypeError(
            "classifier converts its images to NumPy arrays, which JAX cannot trace: write it with"
            " jax.numpy, or call it by jax.pure_callback for methods without gradients"
        ) from error
    return checked_output(output, len(images))


def checked_output(output: Any, count: int) -> Float[Array, "n k"]:
    """Return what a classifier makes of `count` images if it is an array of logits (n, k).

    Raises:
        TypeError, ValueError: as `logits_of`.
    """
    if not isinstance(output, jax.Array | np.ndarray):
        raise TypeError(
            f"classifier returns {_described(output)}, expected one array of logits (n, k):"
            " wrap it in a function that returns the logits alone"
        )
    output = jnp.asarray(output)
    single = output.shape in ((count,), (count, 1))
    if single and jnp.issubdtype(output.dtype, jnp.floating):
        raise ValueError(
            f"classifier returns one value per image, {_described(output)}, expected logits (n, k)"
            " of at least 2 classes: fidojax.networks.binary(classifier) makes them of one logit"
        )
    check_logits(output)
    if output.ndim != 2 or output.shape[0] != count:
        raise ValueError(
            f"classifier returns {_described(output)} for {count} image{'s'[: count != 1]},"
            f" expected logits (n, k), ({count}, k): {_reshaped(output.shape, count)}"
        )
    return output


def check_logits(logits: Any) -> None:
    """Check that an array may be logits "... k" of at least 2 classes.

    Raises:
        TypeError: its numbers are not floating.
        ValueError: it has fewer than 2 classes.
    """
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"logits are {_described(logits)}, expected floating numbers, one per class and before"
            " the softmax"
        )
    if not logits.ndim or logits.shape[-1] < 2:
        raise ValueError(
            f"logits are {_described(logits)}, expected (..., k) with at least 2 classes; two"
            " classes that one logit z tells apart have the logits [0, z]"
        )


def check_classifier(classifier: Classifier, shape: tuple[int, ...], dtype: Any = None) -> int:
    """Return the classifier's number of classes; nothing is computed or compiled.

    Another call for the same structure and shapes takes no new trace.

    Args:
        classifier: a callable pytree, as `fidojax.core.as_classifier` returns it.
        shape: "h w c" of an image.
        dtype: of the images, float32 when None.

    Raises:
        TypeError, ValueError: as `logits_of`.
    """
    images = jax.ShapeDtypeStruct((TRIED, *shape), dtype or jnp.float32)
    return compiled_logits.eval_shape(untransformed(classifier), images).shape[-1]


TRIED = 4
"""The number of images that a classifier is tried with: several, to see that each has a row."""
compiled_logits = jax.jit(logits_of)


def check_target(target: Any, classes: int, name: str = "target") -> None:
    """Check that a target is one integer and, where its value is known, one of the classes.

    Args:
        name: what the message calls it.

    Raises:
        TypeError: it is no integer.
        ValueError: it is several integers, or lies outside 0 ... classes - 1.
    """
    check_index(target, name)
    if not isinstance(target, Tracer) and not 0 <= int(target) < classes:
        raise ValueError(
            f"{name} is {int(target)}, expected 0 to {classes - 1}: the classifier has {classes}"
            " classes"
        )


def check_index(target: Any, name: str = "target") -> None:
    """Check that a target is one integer, whatever its value.

    Raises:
        TypeError, ValueError: as `check_target`.
    """
    traced = isinstance(target, Tracer)
    kind = getattr(target, "dtype", None) or np.asarray(target).dtype
    if not jnp.issubdtype(kind, jnp.integer):
        shown = f"of type {kind}" if traced else repr(target)
        found = ""
        if isinstance(target, str):
            found = f": network.target({target!r}) finds it for a network of fidojax.networks.load"
        raise TypeError(f"{name} is {shown}, expected the index of a class, an integer{found}")
    if np.ndim(target):
        raise ValueError(
            f"{name} has shape {np.shape(target)}, expected the index of one class: explain several"
            " by jax.vmap or fidojax.explain_batch"
        )


def check_target_of(classifier: Classifier, image: Image, target: Any) -> None:
    """Check a concrete target before a function that is compiled hides its value.

    Raises:
        TypeError, ValueError: as `logits_of` and `check_target`.
    """
    if not isinstance(target, Tracer):
        check_target(target, classes_of(classifier, image))


def classes_of(classifier: Classifier, image: Image) -> int:
    """Return the number of the classifier's logits for an image; nothing is computed."""
    return jax.eval_shape(lambda images: logits_of(classifier, images), image[None]).shape[-1]


def real_target(target: Any, classes: int) -> Float[Array, ""] | None:
    """Return a factor for a traced target: 1, or NaN where it is no class; None if it is concrete.

    A product with NaN, unlike a choice, also makes gradients NaN.

    Raises:
        TypeError, ValueError: as `check_target`.
    """
    check_target(target, classes)
    if not isinstance(target, Tracer):
        return None
    return jnp.where((target >= 0) & (target < classes), 1.0, jnp.nan)


def checked_explanation(explanation: Explanation) -> Explanation:
    """Return the explanation, its map NaN where the classifier's score of the image is not finite.

    A method may never see the image itself, or see it where no gradient comes back; a finite map
    would hide that there was nothing to explain. The score is `info.original`, else `info.score`.
    """
    info = explanation.info
    own = getattr(info, "original", getattr(info, "score", None))
    if own is None:
        return explanation
    finite = jnp.all(jnp.isfinite(own))
    return explanation._replace(saliency=jnp.where(finite, explanation.saliency, jnp.nan))


def _reshaped(shape: tuple[int, ...], count: int) -> str:
    """What to write for an output of floating numbers of another shape."""
    if len(shape) > 2 and shape[0] == count:
        if all(side == 1 for side in shape[1:-1]):
            return f"reshape it to ({count}, {shape[-1]})"
        return f"take the mean over the axes {tuple(range(1, len(shape) - 1))}, or one place"
    return "one row of logits for each image"


def _described(output: Any) -> str:
    """An array as "float32 (2, 10)", anything else by its type and parts."""
    if isinstance(output, jax.Array | np.ndarray):
        return f"{output.dtype} {tuple(output.shape)}"
    if isinstance(output, dict):
        return f"a dict of {', '.join(map(repr, output))}"
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {', '.join(map(_described, output))}"
    return f"a {type(output).__name__}"
