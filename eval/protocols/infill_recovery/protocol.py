"""Infill quality: does the class come back when holes in its pictures are filled in?

    python -m eval.run infill-recovery --data-dir DATA --out runs/infill

FIDO's Figure 16 (the class's probability after infill, box plots over random masks) and Figure 3 (a
centred mask, as a gallery), for more kinds of holes and more shares of kept pixels; beside them the
distance from the picture in the features of the networks that judge, the error to the true pixels,
and how much of an infill is a naive copy. All infillers fill the same holes, and every network
judges the same filled pictures. The row "picture" fills them with the truth: the best there can be.

Photos at 224 x 224, judged by networks that took no part in the training of any infiller, also in
the regions that FIDO finds on EfficientNet-Lite0:

    python -m eval.run infill-recovery --data FOLDER --boxes FOLDER/boxes.csv --batch-size 1 \\
        --classifier keras:MobileNetV2 --weights FILE --judge efficientnet_lite1 --no-copies \\
        --masks random-0.5 random-0.1 box strokes blobs-0.1 blobs-0.2 blobs-0.4 \\
        --regions efficientnet_lite0 --out runs/photos

A row is an infiller; its "map" of a picture is the mean absolute error of each pixel over the kinds
of holes that drop it. Processes with different --infill may fill one --out; a last run with all of
them writes the report.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import rich
from jax.tree_util import Partial

from eval.judges import load_judges
from eval.protocols.infill_recovery.figures import draw
from eval.protocols.infill_recovery.kinds import HOLES, PANELS, REGION, titles
from eval.protocols.infill_recovery.recover import columns, numbers, quality, recover
from eval.protocols.infill_recovery.regions import find_regions, stored_regions
from eval.protocols.infill_recovery.report import HEURISTICS, TRUTH, kind_of, learned, tables
from eval.protocols.photos import class_index
from eval.runner import command_line, conduct
from eval.study import Claim, Study, StudyRow
from eval.subject import StudyRun, Subject, defaults, load_subject
from fidojax.core import check_name
from fidojax.types import Infiller
from infillers import INFILLERS, default_infillers, parse_infill

DEFAULTS = defaults(limit=500, batch_size=8)
READING = (
    "A copy is an infilled colour within 2/255 per channel of a kept pixel's: of the nearest one, "
    f"or of any in a window of 15. Smooth pictures have many of them by nature: the row {TRUTH} "
    "says how many.",
    "The feature distance is that of Zhang et al. 2018, equation 1, without their weights of the "
    "channels: of the last activations at each resolution of the network that judges.",
    "The infiller blur sees the dropped pixels; all others see kept pixels only, or none.",
    "FIDO's regions hold under the fills mean and blur on the network that FIDO has explained, "
    "which favours these fills there; where FIDO has found no region, there are no numbers.",
)


def infill_recovery(
    run: StudyRun = DEFAULTS,
    infill: tuple[str, ...] = (),
    masks: tuple[str, ...] = tuple(HOLES),
    judge: tuple[str, ...] = (),
    regions: str | None = None,
    crop: float = 1.0,
    copies: bool = True,
    gallery: tuple[str, ...] = (),
) -> None:
    """FIDO Figures 3 and 16: the class's probability after infill, errors and naive copies.

    Args:
        run: where and on what. The class of a picture file is its label, which may be an index, or
            else the index that its file name begins with.
        infill: names of infillers, all that need no argument if none is given; NAME:VALUE for
            another value of its first argument: weights of a learned one, or say local:5, FIDO's
            window of 15 of 224 pixels brought to 64.
        masks: kinds of holes; of random-0.1 and blobs-0.1 a tenth of the pixels is kept.
        judge: other classifiers of the same classes that judge the filled pictures, NAME or
            NAME=WEIGHTS as `fidojax.networks.load` takes them.
        regions: the classifier, NAME or NAME=WEIGHTS, on which FIDO with the preset hold finds a
            region of each picture, a further kind of holes; they are stored in OUT/regions.
        crop: share of the shorter side that the centre crop keeps.
        copies: count copied pixels, which takes most of the time of large pictures.
        gallery: the infillers shown in the galleries, all if none is given.
    """
    kinds = titles([*masks, *([REGION] if regions else [])])
    panels = [kind for kind in PANELS if kind in kinds] or [*kinds]
    fills = make_infillers(infill or default_infillers())
    for name in gallery:
        check_name("gallery", name, fills)
    # The file names of a prepared set say nothing.
    numbered = None if run.data.startswith("tfds:") else class_index
    of = load_subject(run, crop=crop, otherwise=numbered)
    judges = load_judges(judge, of.model)
    if of.model.name in judges:
        raise ValueError(f"judge names {of.model.name}, which is the run's own classifier")
    names = [of.model.name, *judges]
    settings = {
        "infill": infill, "masks": masks, "judge": judge, "regions": regions, "crop": crop,
        "copies": copies, "gallery": gallery,
    }  # fmt: skip
    if regions:
        find_regions(run, of, regions, command_line("infill-recovery", run, settings))
    options = {
        "holes": " ".join(kinds),
        "copies": copies,
        **({"judges": tuple(judges.values())} if judges else {}),
    }
    each = partial(stored_regions, run.out) if regions else None
    rows = {name: _row(name, fill, options, each) for name, fill in fills.items()}
    measured = numbers(names, copies)
    shown = [*gallery, *([TRUTH] if gallery else [])] or [*rows]
    study = Study(
        name="infill-recovery",
        title="FIDO Figures 3 and 16: infill recovery",
        reference="Chang et al. 2019, Explaining Image Classifiers by Counterfactual Generation",
        about=_about(of, names, regions),
        rows=rows,
        scores={"quality": quality(measured, kinds, panels)},
        # The study's own tables have the other numbers: together they are too many for one.
        numbers=[
            f"{name} {kind}"
            for name in measured
            if name.startswith("probability")
            for kind in panels
        ],
        claims=[
            Claim(ours, other, f"probability {kind}", "Figure 16")
            for ours in learned(fills)
            for other in fills
            if kind_of(other) in HEURISTICS
            for kind in panels
        ],
        reading=READING if copies else READING[1:],
        gallery=f"probability {panels[0]}",
        gallery_rows=[*learned(fills)],
        tables=partial(tables, kinds=kinds, panels=panels, measured=measured),
        figures=partial(
            draw, of=of, rows=rows, kinds=kinds, panels=panels, run=run, shown=shown
        ),
    )  # fmt: skip
    conduct(study, run, of, settings)


def _about(of: Subject, judges: Sequence[str], regions: str | None) -> str:
    text = (
        "Every infiller fills the same holes; then the classifier reads the class again, or "
        f"does not. {of.drawn.right.sum()} of {len(of.drawn.ids)} pictures are classified "
        f"right by {judges[0]}. The row {TRUTH} has the true pixels in the holes."
    )
    if judges[1:]:
        text += f" The filled pictures are judged by {' and '.join(judges)}."
    if regions:
        name = regions.partition("=")[0]
        text += f" FIDO's regions are those of the preset hold on {name}."
    return text


def _row(name: str, infill: Infiller, options: dict[str, Any], each: Any = None) -> StudyRow:
    group = "learned" if learned([name]) else "controls" if name == TRUTH else "heuristics"
    options = {"infill": infill, "one_by_one": group == "heuristics", **options}
    return StudyRow(recover, options, group, each=each, record=columns)


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
