"""What a run works on: the folder, the classifier and the pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import rich
import tyro
from rich.console import Console

from fidojax import networks
from fidojax.core import check_count, printable
from fidojax.data import BadPicture, Picture, pictures, true_class
from fidojax.engine import in_batches
from fidojax.networks import Pretrained
from fidojax.runs import join_processes
from fidojax.transforms.cpu import fast


@dataclass(frozen=True)
class StudyRun:
    """Where a study runs, and on what."""

    out: Path = tyro.MISSING
    """Folder of the results; a stopped run goes on from there."""
    data: str = "tfds:tiny_imagenet40/validation"
    """A labelled set of pictures, as `fidojax.data.pictures` takes it."""
    data_dir: Path | None = None
    """Where TFDS sets lie prepared."""
    boxes: Path | None = None
    """A table of boxes and labels of picture files, as `fidojax.data.pictures` takes it."""
    classifier: str = "tiny_imagenet40"
    """A name for `fidojax.networks.load`."""
    weights: Path | None = None
    """A file with other weights for the classifier."""
    limit: int | None = None
    """Number of pictures, drawn at random; all when None."""
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


def defaults(**values: Any) -> StudyRun:
    """A protocol's own defaults of a `StudyRun`; its `out` must be given on the command line."""
    return StudyRun(**values)


class Drawn(NamedTuple):
    """The pictures of a run.

    Attributes:
        ids: names of the pictures.
        images: "n h w c" in [0, 1].
        labels: "n", true classes.
        predictions: "n", classes that the classifier predicts.
        boxes: of each picture's object, see `fidojax.data.Picture`.
    """

    ids: list[str]
    images: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    boxes: list[np.ndarray | None]

    @property
    def right(self) -> np.ndarray:
        """ "n", whether the classifier predicts the true class."""
        return self.predictions == self.labels

    def rows(self, rows: np.ndarray) -> "Drawn":
        """Some of the pictures."""
        arrays = (self.images[rows], self.labels[rows], self.predictions[rows])
        return Drawn([self.ids[i] for i in rows], *arrays, [self.boxes[i] for i in rows])


@dataclass(frozen=True)
class Subject:
    """The classifier and the pictures that a run explains."""

    model: Pretrained
    drawn: Drawn

    @property
    def picture_list(self) -> list[Picture]:
        """The pictures one by one."""
        columns = zip(
            self.drawn.ids, self.drawn.images, self.drawn.labels, self.drawn.boxes, strict=True
        )
        return [Picture(name, image, int(label), boxes) for name, image, label, boxes in columns]

    def targets(self, chosen: str | np.ndarray) -> np.ndarray:
        """ "n", the classes to explain, see `eval.study.StudyRow.targets`."""
        if isinstance(chosen, str):
            return {"label": self.drawn.labels, "prediction": self.drawn.predictions}[chosen]
        return np.asarray(chosen)


def load_subject(run: StudyRun, *, boxes: bool = False, right: bool = False, **choices) -> Subject:
    """Load the classifier and draw the pictures.

    Args:
        boxes: only pictures with boxes.
        right: only pictures whose class the classifier predicts.
        choices: see `draw`.

    Raises:
        ValueError: there are fewer than 2 pictures, or no launcher has started this process.
    """
    check_count(limit=2 if run.limit is None else run.limit, batch_size=run.batch_size)
    if run.distributed:
        join_processes()
    model = networks.load(run.classifier, run.weights)
    model = model._replace(classifier=fast(model.classifier))
    limit = None if boxes else run.limit
    drawn = draw(
        run.data, model, run.data_dir, limit, run.seed, rich.get_console(), right=right,
        table=run.boxes, **choices,
    )  # fmt: skip
    if boxes:
        having = [i for i, own in enumerate(drawn.boxes) if own is not None and len(own)]
        drawn = drawn.rows(np.array(having[: run.limit], int))
    if len(drawn.ids) < 2:
        what = "with boxes" if boxes else "to explain"
        raise ValueError(f"{run.data}: expected at least 2 pictures {what}, found {len(drawn.ids)}")
    return Subject(model, drawn)


def make_subject(model: Pretrained, found: Sequence[Picture]) -> Subject:
    """The subject of pictures that the protocol chose itself."""
    model = model._replace(classifier=fast(model.classifier))
    return Subject(model, _seen(model, found))


def draw(
    source: str,
    model: Pretrained,
    data_dir: Path | None,
    limit: int | None,
    seed: int,
    console: Console,
    *,
    right: bool = False,
    shuffled: bool = True,
    crop: float = 1.0,
    label: Callable[[Picture], int | None] | None = None,
    otherwise: Callable[[Picture], int | None] | None = None,
    labelled: bool = True,
    table: Path | None = None,
) -> Drawn:
    """Draw `limit` pictures of a set at random, or all of them in random order.

    Args:
        source, data_dir, crop: as `fidojax.data.pictures` takes them.
        limit: number of pictures; all when None.
        seed: of the order.
        console: told which pictures cannot be read.
        right: only pictures whose class the classifier predicts.
        shuffled: in random order; else the first pictures in the order of the set.
        label: the true class of a picture, for sets without labels; pictures for which it returns
            None are left out.
        otherwise: the true class of a picture whose label is none of the classifier's, or that has
            no label; None for none.
        labelled: every picture must have a label; else the prediction stands for one that lacks it.
        table: the boxes and labels of picture files.

    Raises:
        ValueError: there is no picture, or one has no label or one that the classifier has not.
    """
    found: list[Picture] = []
    # All of them only where some will be left out.
    most = None if shuffled or right else limit
    for picture in pictures([source], model.size, data_dir, crop=crop, boxes=table):
        if isinstance(picture, BadPicture):
            console.print(f"left out {printable(picture)}", markup=False, soft_wrap=True)
            continue
        own = _own_class(picture, model, labelled, otherwise) if label is None else label(picture)
        if own is not None or (label is None and not labelled):
            found.append(Picture(picture.id, picture.image, own, picture.boxes, picture.source))
        if len(found) == most:
            break
    if not found:
        raise ValueError(f"{source} has no pictures")
    order = np.arange(len(found))
    if shuffled:
        order = np.random.default_rng(seed).permutation(len(found))
    drawn = _seen(model, [found[i] for i in (order if right else order[:limit])])
    if not right:
        return drawn
    rows = np.flatnonzero(drawn.right)[:limit]
    if not len(rows):
        raise ValueError(f"{source} has no picture whose class {model.name} predicts")
    return drawn.rows(rows)


def _own_class(
    picture: Picture,
    model: Pretrained,
    labelled: bool,
    otherwise: Callable[[Picture], int | None] | None,
) -> int | None:
    """The true class of a picture; None where it has none and needs none."""
    try:
        if picture.label is not None:
            return true_class(picture, model.labels)
        problem = f"{picture.source} has no label"
    except ValueError as error:
        problem = f"{picture.source} ({model.name}): {error}"
    own = None if otherwise is None else otherwise(picture)
    if own is None and labelled:
        raise ValueError(problem)
    return own


def _seen(model: Pretrained, found: Sequence[Picture]) -> Drawn:
    """The pictures with what the classifier predicts."""
    images = np.stack([picture.image for picture in found])
    seen = logits(model.classifier, images)
    labels = np.array([
        guess if picture.label is None else picture.label
        for picture, guess in zip(found, seen.argmax(1).tolist(), strict=True)
    ])  # fmt: skip
    if labels.max() >= seen.shape[1]:
        raise ValueError(
            f"{found[int(labels.argmax())].id} is of class {labels.max()}, "
            f"but {model.name} has only {seen.shape[1]} classes"
        )
    ids = [picture.id for picture in found]
    return Drawn(ids, images, labels, seen.argmax(1), [picture.boxes for picture in found])


def logits(classifier, images: np.ndarray, batch: int = 64) -> np.ndarray:
    """ "n k" of all pictures, in batches of one shape."""
    return in_batches(lambda rows: forward(classifier, images[rows]), len(images), batch)


@jax.jit
def forward(classifier, images):
    """The logits, compiled once for each shape of a batch."""
    return classifier(images)
