"""What a run works on: where, with which classifier, on which pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import rich
from rich.console import Console

from fidojax import networks
from fidojax.core import check_count
from fidojax.data import BadPicture, Picture, pictures
from fidojax.engine import in_batches
from fidojax.networks import Pretrained
from fidojax.runs import join_processes
from fidojax.transforms.cpu import fast


@dataclass(frozen=True)
class StudyRun:
    """Where a study runs, and on what."""

    out: Path
    """Folder of the results; a stopped run goes on from there."""
    data: str = "tfds:tiny_imagenet40/validation"
    """A labelled set, as `fidojax.data.pictures` takes it."""
    data_dir: Path | None = None
    """Where TFDS sets lie prepared."""
    classifier: str = "tiny_imagenet40"
    """A name for `fidojax.networks.load`."""
    weights: Path | None = None
    """A file with other weights for it."""
    limit: int | None = None
    """So many pictures, drawn at random; all when None."""
    batch_size: int = 8
    """Pictures per device and compiled call; other values give other last bits."""
    seed: int = 0
    """Seeds the choice of the pictures, the methods and the infillers."""
    shard: str | None = None
    """I/N: this process takes the I-th of N parts, 1/N to N/N."""
    distributed: bool = False
    """Share the run with the processes that srun, mpirun or a TPU pod has started beside it."""
    dry_run: bool = False
    """Say what the run will cost, and compute nothing."""


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


@dataclass(frozen=True)
class Subject:
    """The classifier and the pictures that a run explains."""

    model: Pretrained
    drawn: Drawn

    @property
    def picture_list(self) -> list[Picture]:
        """One by one."""
        columns = zip(
            self.drawn.ids, self.drawn.images, self.drawn.labels, self.drawn.boxes, strict=True
        )
        return [Picture(name, image, int(label), boxes) for name, image, label, boxes in columns]


def subject(run: StudyRun, *, boxes: bool = False, right: bool = False) -> Subject:
    """Loads them.

    Args:
        boxes: only pictures with boxes.
        right: only pictures that are classified right.

    Raises:
        ValueError: there are fewer than 2, or no launcher has started this process.
    """
    check_count(limit=2 if run.limit is None else run.limit, batch_size=run.batch_size)
    if run.distributed:
        join_processes()
    model = networks.load(run.classifier, run.weights)
    model = model._replace(classifier=fast(model.classifier))
    limit = None if boxes else run.limit
    drawn = draw(run.data, model, run.data_dir, limit, run.seed, rich.get_console(), right=right)
    if boxes:
        having = [i for i, own in enumerate(drawn.boxes) if own is not None and len(own)]
        drawn = drawn.rows(np.array(having[: run.limit], int))
    if len(drawn.ids) < 2:
        what = "with boxes" if boxes else "to explain"
        raise ValueError(f"{run.data}: expected at least 2 pictures {what}, found {len(drawn.ids)}")
    return Subject(model, drawn)


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
