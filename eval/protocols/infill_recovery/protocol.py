"""Infill quality: does the class come back when holes in its pictures are filled in?

    python -m eval.run infill-recovery --data-dir DATA --out runs/infill

FIDO's Figure 16 (the class's probability after infill, box plots over random masks) and Figure 3 (a
centred mask, as a gallery), for more kinds of holes and more shares of kept pixels; beside them the
error to the true pixels, and how much of an infill is a naive copy. All infillers fill the same
holes. The row "picture" fills them with the truth: the best there can be.

Parts are stored as they are finished, per infiller, kind of holes and group of pictures: a stopped
run goes on when started again. Processes with different --infill may fill one --out; a last run
with all of them writes report and figures.
"""

import contextlib
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import rich
from jax.tree_util import Partial
from rich.console import Console

from eval.protocols.infill_recovery.figures import box_plots, curves, gallery
from eval.protocols.infill_recovery.report import NUMBERS, TRUTH, Results, write_report
from eval.report import progress_bars
from eval.store import Store
from eval.subject import draw
from fidojax import image_keys, networks
from fidojax.metrics import infill_quality
from fidojax.runs import digest
from fidojax.transforms.cpu import fast
from fidojax.types import Infiller
from infillers import INFILLERS
from infillers.holes import centred, free_form, random_pixels


class Holes(NamedTuple):
    """A kind of holes: its name in tables and figures, and a function of key and shape."""

    title: str
    draw: Partial


RATES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of kept pixels of the curve."""


def _random(keep, key, shape):
    # Of one key, so that the pixels kept at a low rate are kept at all higher ones.
    return random_pixels(key, shape, keep)


def _box(key, shape):
    return centred(shape)


HOLES = {
    "random-0.5": Holes("50% random pixels", Partial(_random, 0.5)),
    "box": Holes("centred box of a quarter", Partial(_box)),
    "strokes": Holes("free-form strokes", Partial(free_form)),
    **{
        f"random-{rate}": Holes(f"{rate:.0%} random pixels", Partial(_random, rate))
        for rate in RATES
        if rate != 0.5
    },
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
    infill: tuple[str, ...] = (),
    limit: int = 500,
    batch: int = 32,
    seed: int = 0,
) -> None:
    """FIDO Figures 3 and 16: the class's probability after infill, errors and naive copies.

    Args:
        out: folder of the results; a stopped run goes on from there.
        images: a labelled set, as `fidojax.data.pictures` takes it.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.networks.load`.
        weights: a file with other weights for it.
        infill: names of infillers, all if none is given; NAME:VALUE for another value of its first
            argument: weights of a learned one, or say local:5, FIDO's window of 15 of 224 pixels
            brought to 64.
        limit: so many pictures, drawn at random.
        batch: pictures per compiled call.
        seed: seeds the choice of the pictures, the holes and the infillers.
    """
    console = rich.get_console()
    model = networks.load(classifier, weights)
    fills = _infillers(infill or tuple(INFILLERS), console)
    found = draw(images, model, data_dir, limit, seed, console)
    ids, shown, labels = found.ids, found.images, found.labels
    right = found.right
    chosen = np.flatnonzero(right)[:SHOWN]
    store = Store(
        out,
        {
            "protocol": "infill-recovery",
            "images": images,
            "pictures": f"{len(ids)} x {digest(shown)}",
            "classifier": f"{classifier} {digest(model.classifier)}",
            "batch": batch,
            "seed": seed,
        },
    )
    groups = [range(i, min(i + batch, len(ids))) for i in range(0, len(ids), batch)]
    work = [(kind, fill, group) for fill in fills for kind in HOLES for group in groups]
    parts = {item: _part(item[0], item[1], fills[item[1]], item[2]) for item in work}
    waiting = [item for item in work if not store.has(parts[item])]
    console.print(
        f"{', '.join(fills)} in {len(HOLES)} kinds of holes of {len(ids)} pictures, of which "
        f"{classifier} classifies {right.sum()} right; {len(waiting)} of {len(work)} parts to run"
    )
    network, keys = fast(model.classifier), image_keys(seed, ids)
    with progress_bars(console) as bars:
        total = bars.add_task("all parts", total=len(waiting))
        for kind, fill, group in waiting:
            # The last group is filled up, so that one program serves all.
            rows = np.minimum(np.arange(group[0], group[0] + batch), group[-1])
            masks = _masks(HOLES[kind].draw, keys[rows], model.size[:2])
            filled = _fill(fills[fill], keys[rows], shown[rows], masks)
            quality = _judge(network, keys[rows], shown[rows], labels[rows], masks, filled)
            columns = {"kept": np.asarray(masks.mean(axis=(1, 2)))}
            columns |= {name: np.asarray(getattr(quality, name)) for name in NUMBERS}
            arrays = {name: column[: len(group)] for name, column in columns.items()}
            drawn = chosen[np.isin(chosen, group)] - group[0]
            arrays["drawn"] = np.rint(255 * np.asarray(quality.image)[drawn]).astype(np.uint8)
            arrays["drawn_mask"] = np.asarray(masks)[drawn].astype(bool)
            store.save(parts[kind, fill, group], arrays)
            bars.advance(total)
    measured = {
        (kind, fill): store.joined(parts[kind, fill, group] for group in groups)
        for kind in HOLES
        for fill in fills
    }
    titles = {kind: holes.title for kind, holes in HOLES.items()}
    results = Results(ids, labels, right, titles, PANELS, tuple(fills), measured)
    box_plots(store.out / "probability.png", results)
    curves(store.out / "rates.png", results, {rate: f"random-{rate}" for rate in RATES})
    names = [model.labels[label] for label in labels[chosen]]
    for kind in PANELS:
        gallery(store.out / f"gallery_{kind}.png", results, kind, shown[chosen], names)
    for table in write_report(store, results):
        console.print(table)
    console.print(f"Results in {out}")


def _infillers(names: Sequence[str], console: Console) -> dict[str, Infiller]:
    """The infillers whose weights are there, and the truth."""
    found: dict[str, Infiller] = {}
    for name in names:
        kind, _, value = name.partition(":")
        if kind not in INFILLERS:
            raise ValueError(f"infill is {name!r}, expected some of {', '.join(INFILLERS)}")
        label = f"{kind}:{_short(value)}" if value else kind
        if label in found:
            raise ValueError(f"infill names {label!r} twice")
        try:
            found[label] = INFILLERS[kind](*([_number(value)] if value else []))
        except FileNotFoundError as error:
            console.print(f"{label} is left out: {error}", markup=False, soft_wrap=True)
    if not found:
        raise ValueError("infill: none of the infillers has its weights")
    return found | {TRUTH: Partial(_truth)}


def _number(value: str) -> int | float | str:
    """The number that a text says, or else the text."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(value)
    return value


def _short(value: str) -> str:
    """Of a path the file's name."""
    return value if isinstance(_number(value), int | float) else Path(value).stem


def _truth(key, image, mask):
    return image


@partial(jax.jit, static_argnums=2)
def _masks(draw, keys, shape):
    return jax.vmap(lambda key: draw(jax.random.fold_in(key, 0), shape))(keys)


@jax.jit
def _fill(infill, keys, images, masks):
    keys = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
    return jax.vmap(infill)(keys, images, masks)


@jax.jit
def _judge(classifier, keys, images, targets, masks, filled):
    """Apart from `_fill`, so that an infiller costs no more compiling than its own."""

    def judge(key, image, target, mask, reference):
        def infill(*_):
            return reference

        return infill_quality(key, classifier, image, target, mask, infill=infill)

    return jax.vmap(judge)(keys, images, targets, masks, filled)


def _part(kind: str, fill: str, infill: Infiller, group: range) -> str:
    """New weights are another part: their fingerprint is in its name."""
    name = f"{fill}-{digest(infill)}.{kind}.{group[0]:05d}-{group[-1]:05d}"
    return re.sub(r"[^\w.-]", "_", name)
