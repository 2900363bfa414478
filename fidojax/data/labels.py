"""The class names of a data set and of a classifier, matched by name."""

import re
from collections.abc import Sequence

from fidojax.data.picture import Picture

_WORDNET = re.compile(r"^n\d{8} ?")


def find_classes(name: str, labels: Sequence[str]) -> list[int]:
    """Return the classes of a name; upper and lower case, spaces and underscores are the same."""
    wanted = _plain(name)
    return [index for index, label in enumerate(labels) if _plain(label) == wanted]


def true_class(picture: Picture, labels: Sequence[str]) -> int:
    """Return a picture's true class among those of a classifier.

    The class is found by the name of the picture's label, without a WordNet id before it
    ("n02123045 tabby"). A label whose name is missing, a number or a bare WordNet id is the index
    of the class if the data set has as many classes as the classifier.

    Args:
        labels: the names of the classifier's classes.

    Raises:
        ValueError: the picture has no label, or it is none of the classes, or of several.
    """
    if picture.label is None:
        raise ValueError("it has no label")
    name = _WORDNET.sub("", picture.label_name or "")
    name = "" if name == str(picture.label) and not find_classes(name, labels) else name
    found = find_classes(name, labels) if name else []
    if len(found) == 1:
        return found[0]
    if picture.classes == len(labels) or (picture.classes is None and not name):
        known = found if name else range(len(labels))
        if picture.label in known:
            return picture.label
    raise ValueError(f"there is no class for its label {picture.label_name or picture.label!r}")


def _plain(name: str) -> str:
    return name.strip().replace("_", " ").lower()
