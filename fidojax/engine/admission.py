"""What the engine asks of a classifier and of targets before a run begins; nothing is compiled."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from fidojax.core import (
    as_classifier,
    check_classifier,
    check_index,
    check_outputs,
    check_picture,
    check_target,
)
from fidojax.types import Classifier

OPTIONS_GO = 'those of the method go into options={"{name}": ...}'
"""What is said of an argument that a function with `options` does not have."""


def admitted(
    classifier: Any,
    image: np.ndarray,
    function: Callable[..., Any],
    options: Mapping[str, Any],
    strict: bool,
) -> tuple[Classifier, int]:
    """Return the classifier as a pytree, and its number of classes.

    Args:
        classifier: as `fidojax.core.as_classifier` takes it.
        image: "h w c", the first picture.
        function: the method or metric that will ask the classifier.
        options: of the function; its `score` decides whether log-probabilities matter.
        strict: whether outputs that seem to be probabilities are an error instead of a warning.

    Raises:
        TypeError, ValueError: as `fidojax.core.check_classifier` and `check_outputs`.
    """
    classifier = as_classifier(classifier, image.shape)
    classes = check_classifier(classifier, image.shape)
    default = inspect.signature(function).parameters.get("score")
    score = options.get("score", default and default.default)
    check_outputs(classifier, image, score=score, strict=strict)
    return classifier, classes


def as_images(images: Any) -> Float[np.ndarray, "n h w c"]:
    """Return a batch of pictures as float32.

    Raises:
        TypeError: they are integers.
        ValueError: they are no pictures "n h w c".
    """
    given = getattr(images, "dtype", None)
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or 0 in images.shape:
        one = ": images[None] is a batch of one" if images.ndim == 3 else ", none of them 0"
        raise ValueError(f"images have shape {images.shape}, expected (n, h, w, c){one}")
    check_picture("each image", images.shape[1:], given)
    return images


def as_targets(targets: Any, count: int) -> Int[np.ndarray, " count"]:
    """Return the targets of several pictures as integers.

    Raises:
        TypeError: they are no integers.
        ValueError: they are not one for each picture.
    """
    targets = np.asarray(targets)
    if targets.shape != (count,):
        raise ValueError(
            f"targets have shape {targets.shape}, expected ({count},), one class for each image"
        )
    if targets.dtype.kind == "U":
        check_index(str(targets[0]), "targets[0]")  # says what to write instead of a name
    if not np.issubdtype(targets.dtype, np.integer):
        raise TypeError(f"targets are of type {targets.dtype}, expected indexes of classes")
    return targets


def check_targets(targets: Int[np.ndarray, " n"], classes: int) -> None:
    """Check that all targets are classes.

    Raises:
        ValueError: one is not; the message names the first.
    """
    wrong = np.flatnonzero((targets < 0) | (targets >= classes))
    for number in wrong.tolist():
        check_target(targets[number], classes, f"targets[{number}]")
