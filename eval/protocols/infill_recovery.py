"""Infill quality: does the class come back when holes in its pictures are filled in?

    python -m eval.run infill-recovery --data-dir ../shared/data/tensorflow_datasets --out runs/infill

FIDO's Figure 16 (the class's probability after infill, box plots over random masks) and Figure 3 (a
centred mask, as a gallery), for more kinds of holes and more shares of kept pixels; beside them the
error to the true pixels, and how much of an infill is a naive copy. All infillers fill the same
holes. The row "picture" fills them with the truth: the best there can be.

Parts are stored as they are finished, per infiller, kind of holes and group of pictures: a stopped
run goes on when started again. Processes with different --infill may fill one --out; a last run
with all of them writes report and figures.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import rich
from jax.tree_util import Partial
from rich.console import Console

from eval.infill_figures import boxes, curves, gallery
from eval.infill_report import TRUTH, Results, report
from eval.report import progress_bars
from eval.store import Store, digest
from fidojax import image_keys, pretrained
from fidojax.cpu import fast
from fidojax.data import BadPicture, pictures
from fidojax.metrics import infill_quality
from fidojax.types import Infiller, Mask, PRNGKey
from infillers import INFILLERS
from infillers.holes import centred, free_form, random_pixels

Draw = Callable[[PRNGKey, tuple[int, int]], Mask]


class Holes(NamedTuple):
    """A kind of holes: its name in tables and figures, and how to draw it."""

    title: str
    draw: Draw


RATES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of kept pixels of the curve."""


def _random(keep: float) -> Draw:
    # Of one key, so that the pixels kept at a low rate are kept at all higher ones.
    return lambda key, shape: random_pixels(key, shape, keep)


HOLES = {
    "random-0.5": Holes("50% random pixels", _random(0.5)),
    "box": Holes("centred box of a quarter", lambda key, shape: centred(shape)),
    "strokes": Holes("free-form strokes", lambda key, shape: free_form(key, shape)),
    **{f"random-{r}": Holes(f"{r:.0%} random pixels", _random(r)) for r in RATES if r != 0.5},
}
PANELS = ("random-0.5", "box", "strokes")
"""The kinds that are compared in tables and shown in galleries."""
SHOWN = 8
"""Pictures in a gallery: the first that are classified right."""


def infill_recovery(
    out: Path,
    images: str = "tfds:tiny_imagenet40/validation",
    data_dir: Path | None = None,
    classifier: str = "tiny_imagenet40",
    weights: Path | None = None,
    infill: tuple[str, ...] = tuple(INFILLERS),
    limit: int = 500,
    batch: int = 32,
    seed: int = 0,
) -> None:
    """FIDO Figures 3 and 16: the class's probability after infill, errors and naive copies.

    Args:
        out: folder of the results; a stopped run goes on from there.
        images: a labelled set, as `fidojax.data.pictures` takes it.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.pretrained.load`.
        weights: a file with other weights for it.
        infill: names of infillers; NAME:WEIGHTS for a learned one with other weights than shipped.
        limit: so many pictures, drawn at random.
        batch: pictures per compiled call.
        seed: seeds the choice of the pictures, the holes and the infillers.
    """
    console = rich.get_console()
    model = pretrained.load(classifier, weights)
    fills = _infillers(infill, console)
    ids, shown, labels = _read(images, model.size, data_dir, limit, seed, console)
    seen = np.concatenate(
        [_logits(model.classifier, shown[i : i + batch]) for i in range(0, len(shown), batch)]
    )
    if labels.max() >= seen.shape[1]:
        raise ValueError(f"{images} has more classes than {classifier}, {seen.shape[1]}")
    right = seen.argmax(axis=1) == labels
    store = Store(
        out,
        {
            "protocol": "infill-recovery",
            "images": f"{images}: {len(ids)} x {digest(shown)}",
            "classifier": f"{classifier} {digest(model.classifier)}",
            "batch": batch,
            "seed": seed,
        },
    )
    groups = [range(i, min(i + batch, len(ids))) for i in range(0, len(ids), batch)]
    work = [(fill, kind, group) for fill in fills for kind in HOLES for group in groups]
    waiting = [part for part in work if not store.has(_part(fills, *part))]
    console.print(
        f"{', '.join(fills)} on {len(HOLES)} kinds of holes in {len(ids)} pictures, of which "
        f"{classifier} classifies {right.sum()} right; {len(waiting)} of {len(work)} parts to run"
    )
    judge = partial(_judge, fast(model.classifier))
    keys = image_keys(seed, ids)
    with progress_bars(console) as bars:
        total = bars.add_task("all parts", total=len(waiting))
        for fill, kind, group in waiting:
            # The last group is filled up, so that one program serves all.
            rows = np.minimum(np.arange(group[0], group[0] + batch), group[-1])
            quality = judge(fills[fill], kind, keys[rows], shown[rows], labels[rows])
            arrays = {name: value[: len(group)] for name, value in quality.items()}
            store.save(_part(fills, fill, kind, group), arrays)
            bars.advance(total)
    results = Results(
        ids, labels, right, {kind: holes.title for kind, holes in HOLES.items()}, PANELS,
        {
            (kind, fill): _load(store, [_part(fills, fill, kind, group) for group in groups])
            for kind in HOLES
            for fill in fills
        },
    )  # fmt: skip
    boxes(store.out / "probability.png", results)
    curves(store.out / "rates.png", results, {f"random-{rate}": rate for rate in RATES})
    chosen = np.flatnonzero(right)[:SHOWN]
    for kind in PANELS:
        captions = [f"{model.labels[labels[i]]}" for i in chosen]
        gallery(store.out / f"gallery_{kind}.png", results, kind, shown, chosen, captions)
    console.print(report(store, results, model.labels))
    console.print(f"Results in {out}")
