"""VDSM's experiment on MNIST: maps of the same eights, judged by Removal and Preservation.

What its two protocols share. Settings are those of the authors' code (run.sh). The published
numbers were read off the box plots in their notebooks, to within 0.3; cells that cannot be from
this experiment are marked suspect.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eval import scores
from eval.report import Box, box_plots
from eval.report.reading import StoredRun
from eval.runner import conduct
from eval.scores import Maps, Number, ScoreSet
from eval.study import Claim, Study, StudyRow
from eval.subject import StudyRun, Subject, defaults, load_subject, make_subject
from fidojax import networks, presets
from fidojax.data import Picture
from fidojax.runs import digest
from fidojax.types import Infiller

DIGIT = 8
DEFAULTS = defaults(data="tfds:mnist/test", classifier="mnist", limit=100, batch_size=4)
"""What the protocols run on unless told otherwise."""
METRICS = ("Removal", "Preservation")
AHEAD = {"Removal": "SDR", "Preservation": "SSR"}
"""The objective whose maps VDSM's metric asks for."""


class Published(NamedTuple):
    """What the authors' box plots show of a row; `suspect` names metrics of doubtful cells."""

    removal: Box | None = None
    preservation: Box | None = None
    suspect: tuple[str, ...] = ()

    def box(self, metric: str) -> Box | None:
        """The authors' box of a name in `METRICS`."""
        return getattr(self, metric.lower())


class Example(NamedTuple):
    """One digit of the paper's figures and the log-odds printed under it.

    Attributes:
        figure: its number.
        place: of the digit among the eights.
        metric: a name in `METRICS`.
        printed: by row, the extreme log-odds and the number of pixels that are gone there.
    """

    figure: int
    place: int
    metric: str
    printed: Mapping[str, tuple[float, int]]

    @property
    def title(self) -> str:
        """Of its table."""
        return f"Figure {self.figure}: {self.metric} of eight number {self.place}, log-odds"


class Rows:
    """Makes the rows of both figures, with one infiller.

    Args:
        infill: stands where pixels are dropped, in the maps and in the metrics.
        steps: optimiser steps of VDSM and BBMP.
        samples: masks per step of VDSM.
    """

    def __init__(self, infill: Infiller, steps: int, samples: int) -> None:
        self._infill = {"infill": infill}
        self._learned = {"steps": steps}
        self._samples = {"samples": samples}

    def plain(self, method: str, **options: Any) -> StudyRow:
        """A method that optimises nothing; it shows few pictures per image at once."""
        return StudyRow(method, self._infill | options, method, batch_size=20)

    def vdsm(self, objective: str, lam: float) -> StudyRow:
        """FIDO as VDSM has it."""
        options = self._infill | presets.vdsm | self._samples | self._learned
        return StudyRow("fido", options | {"objective": objective, "lam": lam}, "VDSM")

    def bbmp(self, objective: str, lam: float) -> StudyRow:
        """BBMP with the authors' settings."""
        options = self._infill | presets.bbmp_mnist | self._learned
        return StudyRow(
            "bbmp", options | {"objective": objective, "lam": lam}, "BBMP", batch_size=20
        )


def experiment(
    name: str,
    title: str,
    run: StudyRun,
    rows: Mapping[str, StudyRow],
    published: Mapping[str, Published],
    infill: Infiller,
    chosen: Mapping[str, Any],
    examples: Sequence[Example] = (),
    said: Sequence[Claim] = (),
) -> None:
    """Run one of VDSM's figures.

    Args:
        infill: stands for removed pixels.
        chosen: the protocol's own options.
        examples: digits whose printed log-odds stand beside ours.
        said: what the paper says in words, beside the orderings of its box plots.
    """
    study = Study(
        name=name,
        title=title,
        reference="VDSM, Interpreting Neural Network Classifications with Variational Dropout "
        "Saliency Maps, 2017",
        about=(
            "The change in the log-odds of the eight: its largest fall while the most salient "
            "pixels go first (Removal), its largest rise while the least salient go first "
            "(Preservation)."
        ),
        rows=rows,
        scores={"statistics": statistics(infill)},
        numbers=METRICS,
        claims=_once([*said, *claims(rows, published)]),
        reading=("The paper has medians and quartiles: they stand in tables of their own.",),
        tables=lambda found: {
            **{
                f"{metric}: change in log-odds, median (quartiles)": table(found, metric, published)
                for metric in METRICS
            },
            **{
                example.title: printed(found, example)
                for example in examples
                if example.place < len(found)
            },
        },
        figures=lambda found, folder: figure(folder / "boxes.png", found, published),
    )
    conduct(study, run, eights(run), chosen)


def statistics(infill: Infiller) -> ScoreSet:
    """Removal and Preservation of the digit's class; the curves of both are stored, too."""
    numbers = {metric: Number(metric, "high", 1, metric, unit="log-odds") for metric in METRICS}

    def compute(given: Maps) -> dict[str, np.ndarray]:
        columns = {}
        for metric in METRICS:
            found = scores.measured(metric.lower(), given, seed=given.seed, infill=infill)
            columns |= {
                f"{metric} curve": found.curve,
                metric: found.statistic,
                f"{metric} pixels": found.at,
            }
        return columns

    # Both remove one pixel after the other.
    return ScoreSet({"infill": digest(infill)}, numbers, compute, passes=2 * (28 * 28 + 1))


def claims(rows: Mapping[str, StudyRow], published: Mapping[str, Published]) -> list[Claim]:
    """VDSM above the other methods, where the authors' plots show it, by their medians."""
    found = []
    for metric, objective in AHEAD.items():
        ours = f"VDSM-{objective}"
        first = published[ours].box(metric) if ours in published else None
        for row in rows:
            second = published[row].box(metric) if row in published else None
            if first and second and not row.startswith("VDSM") and first.median > second.median:
                text = f"median {first.median} against {second.median}"
                found.append(Claim(ours, row, metric, text))
    return found


def _once(found: Sequence[Claim]) -> list[Claim]:
    """Each ordering once, the first of its wordings."""
    return list(
        {(each.better, each.worse, each.number): each for each in reversed(found)}.values()
    )[::-1]


def table(run: StoredRun, metric: str, published: Mapping[str, Published]) -> list[dict[str, str]]:
    """Median and quartiles of every row beside the authors'."""
    lines = []
    for row in run.study["rows"]:
        box, theirs = Box.of(run.values(metric, row)), published.get(row, Published()).box(metric)
        line = {"method": row, "fidojax": box.text(), "authors": "", "difference": ""}
        if theirs:
            suspect = " suspect" if metric in published[row].suspect else ""
            line["authors"] = theirs.text() + suspect
            line["difference"] = f"{box.median - theirs.median:+.1f}"
        lines.append(line)
    return lines


def printed(run: StoredRun, example: Example) -> list[dict[str, str]]:
    """The extreme log-odds of one digit and the pixels that are gone there, beside the printed."""
    lines = []
    for row in run.study["rows"]:
        curve = run.column("statistics", row, f"{example.metric} curve")
        gone = run.column("statistics", row, f"{example.metric} pixels")
        line = {"method": row, "fidojax": "", "printed in the paper": ""}
        if curve is not None and gone is not None and np.isfinite(gone[example.place]):
            at = int(gone[example.place])
            line["fidojax"] = f"{curve[example.place, at]:.1f} at {at}"
        if row in example.printed:
            value, at = example.printed[row]
            line["printed in the paper"] = f"{value} at {at}"
        lines.append(line)
    return lines


def figure(path: Path, run: StoredRun, published: Mapping[str, Published]) -> None:
    """A panel of box plots per metric, the authors' boxes beside ours."""
    measured = {
        metric: {row: run.values(metric, row) for row in run.study["rows"]} for metric in METRICS
    }
    theirs = {
        metric: {row: box for row, each in published.items() if (box := each.box(metric))}
        for metric in METRICS
    }
    box_plots(path, measured, theirs, "Change in log-odds")


def eights(run: StudyRun) -> Subject:
    """The first eights of an .npz file with `images` (n, 28, 28) uint8, or of a labelled set.

    Raises:
        ValueError: the file has no such array, or there is no eight.
    """
    if not run.data.endswith(".npz"):
        return load_subject(
            run, shuffled=False, label=lambda each: DIGIT if each.label == DIGIT else None
        )
    with np.load(run.data, allow_pickle=False) as file:
        if "images" not in file or file["images"].dtype != np.uint8:
            raise ValueError(f"{run.data} has no uint8 array `images`")
        images = file["images"][: run.limit].reshape(-1, 28, 28, 1).astype(np.float32) / 255
    if not len(images):
        raise ValueError(f"{run.data} has no eights")
    found = [Picture(f"eight {i}", image, DIGIT) for i, image in enumerate(images)]
    return make_subject(networks.load(run.classifier, run.weights), found)
