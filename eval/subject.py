"""What a run works on: where, with which classifier, on which pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rich

from eval.drawn import Drawn, draw
from fidojax import pretrained
from fidojax.cpu import fast
from fidojax.data import Picture
from fidojax.names import check_count
from fidojax.pretrained import Pretrained
from fidojax.shard import join_processes


@dataclass(frozen=True)
class Run:
    """Where a study runs, and on what."""

    out: Path
    """Folder of the results; a stopped run goes on from there."""
    data: str = "tfds:tiny_imagenet40/validation"
    """A labelled set, as `fidojax.data.pictures` takes it."""
    data_dir: Path | None = None
    """Where TFDS sets lie prepared."""
    classifier: str = "tiny_imagenet40"
    """A name for `fidojax.pretrained.load`."""
    weights: Path | None = None
    """A file with other weights for it."""
    limit: int | None = None
    """So many pictures, drawn at random; all when None."""
    micro_batch: int = 8
    """Pictures per device and compiled call; other values give other last bits."""
    seed: int = 0
    """Seeds the choice of the pictures, the methods and the infillers."""
    shard: str | None = None
    """I/N: this process takes the I-th of N parts, 1/N to N/N."""
    distributed: bool = False
    """Share the run with the processes that srun, mpirun or a TPU pod has started beside it."""
    dry_run: bool = False
    """Say what the run will cost, and compute nothing."""


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


def subject(run: Run, *, boxes: bool = False, right: bool = False) -> Subject:
    """Loads them.

    Args:
        boxes: only pictures with boxes.
        right: only pictures that are classified right.

    Raises:
        ValueError: there are fewer than 2, or no launcher has started this process.
    """
    check_count(limit=2 if run.limit is None else run.limit, micro_batch=run.micro_batch)
    if run.distributed:
        join_processes()
    model = pretrained.load(run.classifier, run.weights)
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
