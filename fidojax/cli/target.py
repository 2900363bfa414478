"""The class to explain: a name, an index, the prediction or the data set's label."""

from typing import Any

import numpy as np

from fidojax.cli.options import Explain
from fidojax.core import suggest
from fidojax.data import Picture, find_classes, true_class
from fidojax.methods import METHOD_ROWS
from fidojax.networks import Pretrained


class NoSuchClassError(ValueError):
    """The classifier has no class of the name."""


def target_of(
    wanted: int | str, pretrained: Pretrained, picture: Picture, probabilities: np.ndarray
) -> int:
    """The class to explain for a picture.

    Args:
        wanted: an index, "prediction" or "label".
        pretrained: the classifier.
        picture: with its label, if it has one.
        probabilities: the classifier's, for this picture.

    Raises:
        ValueError: it has no label, or none of the classifier's classes; or the classifier's
            output is not finite.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("the classifier's output for it is not finite")
    if isinstance(wanted, int):
        return wanted
    if wanted == "prediction":
        return int(probabilities.argmax())
    if picture.label is None:
        raise ValueError("it has no label to explain (--target label)")
    try:
        return true_class(picture, pretrained.labels)
    except ValueError:
        shown = picture.label_name or picture.label
        raise ValueError(f"{pretrained.name} has no class for its label {shown!r}") from None


def class_index(name: str, labels: tuple[str, ...]) -> int:
    """Return the class of a name (upper or lower case, spaces or underscores) or of an index.

    Raises:
        NoSuchClassError: there is no such class.
        ValueError: there are several.
    """
    wanted = name.strip().replace("_", " ").lower()
    found = find_classes(name, labels)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        places = " and ".join(map(str, found))
        raise ValueError(f"--target: the classes {places} are both called {name!r}; give the index")
    if wanted.lstrip("-").isdigit():
        if not 0 <= int(wanted) < len(labels):
            raise ValueError(f"--target: {name} is not in 0 to {len(labels) - 1}")
        return int(wanted)
    raise NoSuchClassError(f"--target: no class is called {name!r}; {suggest(wanted, labels)}")


def chosen_targets(asked: Explain, labels: tuple[str, ...]) -> list[Any]:
    """Return the classes to explain: one or several indices, or "prediction" or "label" alone.

    Raises:
        NoSuchClassError: there is no such class.
        ValueError: two are the same, or the method explains all at once.
    """
    if asked.target in ((), ("prediction",)):
        return ["prediction"]
    if METHOD_ROWS[asked.method].all_classes:
        raise ValueError(f"--target: the method {asked.method} explains all classes at once")
    if asked.target == ("label",):
        return ["label"]
    found = [class_index(name, labels) for name in asked.target]
    if len(set(found)) < len(found):
        raise ValueError(f"--target: {' and '.join(asked.target)} are not different classes")
    return found
