"""What both libraries are given: the same pictures, classes and maps."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from eval.subject import logits
from fidojax import explain_batch
from fidojax.core import rank
from fidojax.data import Picture, pictures
from fidojax.types import Classifier


class Work(NamedTuple):
    """Pictures with their classes and maps.

    Attributes:
        source: the set of the pictures.
        images: "n h w c" in [0, 1].
        targets: "n", the predicted classes.
        maps: "n h w" without ties: minus the rank of each pixel in the gradient's map.
    """

    source: str
    images: Float[np.ndarray, "n h w c"]
    targets: Int[np.ndarray, " n"]
    maps: Float[np.ndarray, "n h w"]

    def part(self, first: int, count: int) -> "Work":
        """Return `count` pictures from the number `first` on."""
        return Work(self.source, *(array[first : first + count] for array in self[1:]))

    def repeated(self, copies: int) -> "Work":
        """Return the work with `copies` of each picture."""
        return Work(self.source, *(np.repeat(array, copies, axis=0) for array in self[1:]))


def load(
    classifier: Classifier,
    size: tuple[int, int, int],
    *,
    images: str,
    data_dir: Path | None,
    count: int,
) -> Work:
    """Return `count` pictures of a set, or random ones where the set has not as many.

    Args:
        classifier: predicts the classes.
        size: (h, w, c) of its pictures.
        images: a set of pictures, as `fidojax.data.pictures` takes it.
        data_dir: the folder of TFDS data sets.
        count: the number of pictures.
    """
    wanted = pictures([f"{images}[:{count}]"], size, data_dir)
    found = [picture.image for picture in wanted if isinstance(picture, Picture)]
    if len(found) == count:
        source, array = images, np.stack(found)
    else:
        source = "random pictures"
        array = np.random.default_rng(0).random((count, *size), np.float32)
    targets = logits(classifier, array).argmax(1)
    maps = explain_batch("gradient", classifier, array, targets, batch_size=1).saliency
    return Work(source, array, targets, -np.asarray(jax.vmap(rank)(maps), np.float32))


def in_parts(compute: Callable[[Work], np.ndarray], work: Work, batch_size: int) -> np.ndarray:
    """Return what `compute` says of all pictures, called with `batch_size` of them at a time."""
    starts = range(0, len(work.images), batch_size)
    return np.concatenate([np.asarray(compute(work.part(i, batch_size))) for i in starts])
