"""The class to explain: a name, an index, the prediction or the data set's label."""

import re

import numpy as np

from fidojax.data import Picture
from fidojax.networks import Pretrained, class_index


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
    # Data sets write "n02123045 tabby" or "n02123045" for what a classifier calls "tabby".
    name = re.sub(r"^n\d{8} ?", "", picture.label_name or "")
    try:
        return class_index(name or str(picture.label), pretrained.labels)
    except ValueError:
        shown = picture.label_name or picture.label
        raise ValueError(f"{pretrained.name} has no class for its label {shown!r}") from None
