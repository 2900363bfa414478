"""Infill quality: does the class come back when holes in its pictures are filled in?

    python -m eval.run infill-recovery --data-dir DATA --out runs/infill

FIDO's Figure 16 (the class's probability after infill, box plots over random masks) and Figure 3 (a
centred mask, as a gallery), for more kinds of holes and more shares of kept pixels; beside them the
error to the true pixels, and how much of an infill is a naive copy. All infillers fill the same
holes. The row "picture" fills them with the truth: the best there can be.

A row is an infiller; its "map" of a picture is the mean absolute error of each pixel over the kinds
of holes that drop it. Processes with different --infill may fill one --out; a last run with all of
them writes the report.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rich
from jax.tree_util import Partial
from jaxtyping import Array, Float

from eval import scores
from eval.protocols.infill_recovery.figures import draw
from eval.protocols.infill_recovery.report import (
    HEURISTICS,
    NUMBERS,
    TRUTH,
    Holes,
    kind_of,
    learned,
    tables,
)
from eval.runner import conduct
from eval.scores import Curve, Number, ScoreSet
from eval.study import Claim, Study, StudyRow
from eval.subject import StudyRun, defaults, load_subject
from fidojax.metrics import infill_quality
from fidojax.types import Explanation, Infiller
from infillers import INFILLERS, default_infillers, parse_infill
from infillers.holes import centred, free_form, random_pixels

RATES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of kept pixels of the curve."""
DEFAULTS = defaults(limit=500, batch_size=32)


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
"""Kinds of holes by name."""
PANELS = ("random-0.5", "box", "strokes")
"""The kinds that are compared in tables and shown in galleries."""


def infill_recovery(run: StudyRun = DEFAULTS, infill: tuple[str, ...] = ()) -> None:
    """FIDO Figures 3 and 16: the class's probability after infill, errors and naive copies.

    Args:
        run: where and on what.
        infill: names of infillers, all that need no argument if none is given; NAME:VALUE for
            another value of its first argument: weights of a learned one, or say local:5, FIDO's
            window of 15 of 224 pixels brought to 64.
    """
    fills = make_infillers(infill or default_infillers())
    of = load_subject(run)
    rows = {name: _row(name, fill) for name, fill in fills.items()}
    study = Study(
        name="infill-recovery",
        title="FIDO Figures 3 and 16: infill recovery",
        reference="Chang et al. 2019, Explaining Image Classifiers by Counterfactual Generation",
        about=(
            "Every infiller fills the same holes; then the classifier reads the class again, or "
            f"does not. {of.drawn.right.sum()} of {len(of.drawn.ids)} pictures are classified "
            f"right. The row {TRUTH} has the true pixels in the holes."
        ),
        rows=rows,
        scores={"quality": quality()},
        numbers=[*quality().numbers],
        claims=[
            Claim(ours, other, f"probability {kind}", "Figure 16")
            for ours in learned(fills)
            for other in fills
            if kind_of(other) in HEURISTICS
            for kind in PANELS
        ],
        reading=(
            "A copy is an infilled colour within 2/255 per channel of a kept pixel's: of the "
            "nearest one, or of any in a window of 15. Smooth pictures have many of them by "
            f"nature: the row {TRUTH} says how many.",
        ),
        gallery=f"probability {PANELS[0]}",
        gallery_rows=[*learned(fills)],
        tables=partial(tables, holes=HOLES, panels=PANELS),
        figures=partial(draw, of=of, rows=rows, holes=HOLES, panels=PANELS, seed=run.seed),
    )
    conduct(study, run, of, {"infill": infill})


class Recovery(NamedTuple):
    """What `recover` measures of a picture; one value for each of `HOLES`.

    Attributes:
        kept: the share of kept pixels.
        probability, absolute, rms, copied, copied_within: see `fidojax.metrics.InfillQuality`.
        masks: "holes h w".
        images: "holes h w c", the filled pictures.
    """

    kept: Float[Array, " holes"]
    probability: Float[Array, " holes"]
    absolute: Float[Array, " holes"]
    rms: Float[Array, " holes"]
    copied: Float[Array, " holes"]
    copied_within: Float[Array, " holes"]
    masks: Float[Array, "holes h w"]
    images: Float[Array, "holes h w c"]


def recover(key, classifier, image, target, *, infill: Infiller, holes: str) -> Explanation:
    """Fill every kind of holes of a picture: the map of its errors, and a `Recovery`.

    Args:
        holes: names in `HOLES`, joined by spaces.
    """
    hole_key, fill_key = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
    masks = jnp.stack([HOLES[name].draw(hole_key, image.shape[:2]) for name in holes.split()])

    def measure(mask):
        return infill_quality(fill_key, classifier, image, target, mask, infill=infill)

    found = jax.lax.map(measure, masks)
    error = jnp.abs(found.image - image).mean(axis=-1).sum(axis=0)
    error /= jnp.maximum((masks == 0).sum(axis=0), 1)
    numbers = {name: getattr(found, name) for name in NUMBERS}
    kept = masks.mean(axis=(1, 2))
    return Explanation(error, Recovery(kept=kept, **numbers, masks=masks, images=found.image))


def columns(info: Recovery) -> dict[str, np.ndarray]:
    """The numbers of a batch: NAME by kind of holes, "NAME by rate" by the share of kept pixels."""
    rates = [[*HOLES].index(f"random-{rate}") for rate in RATES]
    found = {name: getattr(info, name) for name in ("kept", *NUMBERS)}
    return found | {f"{name} by rate": found[name][:, rates] for name in NUMBERS}


def quality() -> ScoreSet:
    """The recorded numbers of `PANELS`, and their curves over the share of kept pixels."""
    numbers = {
        f"{name} {kind}": Number(
            f"{label}, {HOLES[kind].title}", better, 3, name, [*HOLES].index(kind)
        )
        for name, (label, better) in NUMBERS.items()
        for kind in PANELS
    }
    curves = {
        name: Curve(label, f"{name} by rate", RATES, "share of kept pixels, random", label, better)
        for name, (label, better) in NUMBERS.items()
    }
    found = scores.recorded(numbers, curves)

    def compute(given: scores.Maps) -> dict[str, np.ndarray]:
        return {"kept": given.column("kept")} | found.compute(given)

    return found._replace(compute=compute)


def _row(name: str, infill: Infiller) -> StudyRow:
    group = "learned" if learned([name]) else "controls" if name == TRUTH else "heuristics"
    options: dict[str, Any] = {"infill": infill, "holes": " ".join(HOLES)}
    return StudyRow(recover, options, group, record=columns)


def make_infillers(names: Sequence[str]) -> dict[str, Infiller]:
    """The infillers whose weights are there, and the truth.

    Raises:
        ValueError: an unknown or repeated name, or none of them has its weights.
    """
    found: dict[str, Infiller] = {}
    for name in names:
        kind, constants = parse_infill(name, "infill", INFILLERS, first=True)
        label = ":".join([kind, *map(_short, constants.values())])
        if label in found:
            raise ValueError(f"infill names {label!r} twice")
        try:
            found[label] = INFILLERS[kind](**constants)
        except FileNotFoundError as error:
            rich.get_console().print(f"{label} is left out: {error}", markup=False, soft_wrap=True)
    if not found:
        raise ValueError("infill: none of the infillers has its weights")
    return found | {TRUTH: Partial(_truth)}


def _short(value: Any) -> str:
    """A number as it is, of a path the file's name."""
    return Path(value).stem if isinstance(value, str) else str(value)


def _truth(key, image, mask):
    return image
