"""Labelled pictures of a data set, drawn at random, and what the classifier reads in them."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from rich.console import Console

from fidojax.batches import in_batches
from fidojax.data import BadPicture, Picture, pictures
from fidojax.pretrained import Pretrained


class Drawn(NamedTuple):
    """Pictures in random order.

    Attributes:
        ids: of the pictures.
        images: "n h w c" in [0, 1].
        labels: "n", true classes.
        predictions: "n", of the classifier.
        boxes: of each picture's object, see `fidojax.data.Picture`.
    """

    ids: list[str]
    images: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    boxes: list[np.ndarray | None]

    @property
    def right(self) -> np.ndarray:
        """ "n", whether the classifier reads it right."""
        return self.predictions == self.labels

    def rows(self, rows: np.ndarray) -> "Drawn":
        """Some of them."""
        arrays = (self.images[rows], self.labels[rows], self.predictions[rows])
        return Drawn([self.ids[i] for i in rows], *arrays, [self.boxes[i] for i in rows])


def draw(
    source: str,
    model: Pretrained,
    data_dir: Path | None,
    limit: int | None,
    seed: int,
    console: Console,
    *,
    right: bool = False,
) -> Drawn:
    """So many pictures in random order, or all; of those classified `right` only, if asked.

    Raises:
        ValueError: there is none, or one has no label or one that the classifier does not know.
    """
    found: list[Picture] = []
    for picture in pictures([source], model.size, data_dir):
        if isinstance(picture, BadPicture):
            console.print(f"left out {picture}", markup=False, soft_wrap=True)
        elif picture.label is None:
            raise ValueError(f"{picture.source} has no label")
        else:
            found.append(picture)
    if not found:
        raise ValueError(f"{source} has no pictures")
    order = np.random.default_rng(seed).permutation(len(found))
    # All of them only where some will be left out.
    chosen = [found[i] for i in (order if right else order[:limit])]
    images = np.stack([picture.image for picture in chosen])
    labels = np.array([picture.label for picture in chosen])
    seen = logits(model.classifier, images)
    if labels.max() >= seen.shape[1]:
        raise ValueError(f"{source} has more classes than {model.name}, {seen.shape[1]}")
    ids = [picture.id for picture in chosen]
    drawn = Drawn(ids, images, labels, seen.argmax(1), [picture.boxes for picture in chosen])
    if not right:
        return drawn
    rows = np.flatnonzero(drawn.right)[:limit]
    if not len(rows):
        raise ValueError(f"{source} has no picture that {model.name} classifies right")
    return drawn.rows(rows)


def logits(classifier, images: np.ndarray, batch: int = 64) -> np.ndarray:
    """ "n k" of all pictures, a batch of one shape at a time."""
    return in_batches(lambda rows: forward(classifier, images[rows]), len(images), batch)


@jax.jit
def forward(classifier, images):
    """The logits, compiled once for each shape of a batch."""
    return classifier(images)
