"""The items of a source of pictures: pictures at the classifier's size, and bad pictures."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Picture:
    """One picture at the classifier's size.

    Attributes:
        id: name that is the same in every run for the same picture of the same source.
        image: "h w c" float32 in [0, 1].
        label: index of the true class in the data set that the picture comes from, if known; see
            `true_class` for the classifier's index.
        boxes: "b 4" object boxes in pixels of `image`, half-open (top, left, bottom, right);
            None where the source has none.
        source: readable origin: a path or `tfds:NAME/SPLIT example ROW`.
        label_name: the data set's name of `label`.
        classes: number of classes in the data set, if known.
    """

    id: str
    image: Float[np.ndarray, "h w c"]
    label: int | None = None
    boxes: Int[np.ndarray, "b 4"] | None = None
    source: str = ""
    label_name: str | None = None
    classes: int | None = None


@dataclass(frozen=True)
class BadPicture:
    """A source, file or example that cannot be read as a picture.

    Attributes:
        source: the file or the example of the data set.
        reason: one clause, without the source's name and without a full stop.
    """

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"
