"""Nonlinear saliency maps, Figures 1 to 4, and what they claim as numbers over many pictures.

    python -m eval.run nonlinear-figures --data PHOTOS --classifier keras:MobileNetV2 \
        --weights FILE --out runs/nonlinear

For the most probable classes of every picture: how high the class's probability rises while what
matters least is blurred and the rest enhanced, where it reaches its plateau, what the map with the
frozen gradient does, and what is left when only the most salient pixels are blurred.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval import scores
from eval.intervals import Interval, correlation, difference, interval
from eval.report.reading import StoredRun
from eval.runner import conduct
from eval.scores import Number
from eval.study import Claim, Study, StudyRow, Table
from eval.subject import StudyRun, Subject, defaults, load_subject, logits
from fidojax.core import check_count
from fidojax.data import IMAGENET_CROP
from fidojax.engine import compare_maps
from fidojax.viz import nonlinear

NUMBERS = {
    "original": Number("p on the picture", "none", 3, "original"),
    "highest": Number("highest p", "high", 3, "highest"),
    "last": Number("p, least salient pixels blurred", "high", 3, "last"),
    "threshold": Number("share blurred at the plateau", "low", 3, "threshold"),
    "removed": Number("p, most salient pixels blurred", "low", 3, "removed"),
}

FALLING = 14 / 16
"""Share of the paper's pictures and classes whose p falls when the most salient pixels are blurred:
all of Figure 4 but swimming trunks and goldfish."""

DEFAULTS = defaults(limit=24)


def nonlinear_figures(
    run: StudyRun = DEFAULTS,
    classes: int = 2,
    steps: int = 95,
    step_size: float = 0.01,
    sigma: float = 1.0,
    drawn: int = 8,
) -> None:
    """Nonlinear saliency maps, Figures 1 to 4: nonlinear against linear, the top classes.

    Args:
        run: where and on what; the first pictures of the data, which need no labels.
        classes: number of the most probable classes of each picture that are explained.
        steps: of the trajectory.
        step_size: enhancement of a step.
        sigma: of a step's blur, in pixels.
        drawn: number of pictures that have their four figures drawn.
    """
    check_count(classes=classes, steps=steps)
    options = {"steps": steps, "step_size": step_size, "sigma": sigma}
    crop = IMAGENET_CROP if run.classifier.startswith("keras:") else 1.0
    subject = load_subject(run, shuffled=False, labelled=False, crop=crop)
    top = np.argsort(-logits(subject.model.classifier, subject.drawn.images))[:, :classes]
    rows = {
        f"{kind} {rank + 1}": StudyRow(
            method, options, f"class number {rank + 1}", targets=top[:, rank], record=_numbers
        )
        for rank in range(classes)
        for kind, method in (("nonlinear", "nonlinear_saliency"), ("linear", "linear_saliency"))
    }
    claims = [
        Claim(f"nonlinear {rank + 1}", f"linear {rank + 1}", key, figure)
        for rank in range(classes)
        for key, figure in (
            ("highest", "Figure 2"),
            ("last", "Figures 2 and 3"),
        )
    ]
    study = Study(
        name="nonlinear-figures",
        title="Nonlinear saliency maps, Figures 1 to 4",
        reference="Rosenzweig et al. 2021, Interpreting Deep Neural Networks with Nonlinear "
        "Saliency Maps",
        about=(
            "Nonlinear maps, and linear maps, whose gradient stays that of the picture, of the "
            f"{classes} most probable classes of every picture."
        ),
        rows=rows,
        scores={"trajectory": scores.recorded(NUMBERS)},
        numbers=list(NUMBERS),
        claims=claims,
        reading=("Compare rows of the same class number: they explain the same class.",),
        gallery="last",
        tables=lambda stored: _tables(stored, classes),
        figures=lambda stored, folder: _draw(subject, top, options, run.seed, drawn, folder),
    )
    conduct(study, run, subject, options | {"classes": classes, "drawn": drawn})


def _numbers(info: Any) -> Mapping[str, np.ndarray]:
    return {
        "original": info.original,
        "highest": info.probabilities.max(axis=1),
        "last": info.probabilities[:, -1],
        "threshold": info.threshold,
        "removed": info.probability_removed,
    }


def _differences(stored: StoredRun, classes: int) -> list[dict[str, str]]:
    """A line for each rank of class and number, with the 95% interval."""
    lines = []
    for rank in range(1, classes + 1):
        for key, number in NUMBERS.items():
            ours, theirs = (
                stored.values(key, f"{kind} {rank}") for kind in ("nonlinear", "linear")
            )
            both = np.isfinite(ours) & np.isfinite(theirs)
            apart = difference(ours[both], theirs[both]).text(signed=True) if both.any() else ""
            lines.append({"class": f"number {rank}", "number": number.label, "difference": apart})
    return lines


def _tables(stored: StoredRun, classes: int) -> dict[str, Table]:
    tables: dict[str, Table] = {
        "Nonlinear minus linear, paired": _differences(stored, classes),
        "What the paper says of its pictures": sayings(stored, classes),
    }
    return {title: lines for title, lines in tables.items() if lines}


def sayings(stored: StoredRun, classes: int) -> list[dict[str, str]]:
    """The paper's two sentences on single pictures as tests, for each rank of class.

    The threshold's independence of p fails where the interval of their rank correlation excludes 0;
    it cannot be shown to hold. Of Figure 4 the share of pictures whose p falls is compared with the
    paper's.
    """
    lines = []
    for rank in range(1, classes + 1):
        original, threshold, removed = (
            stored.values(key, f"nonlinear {rank}") for key in ("original", "threshold", "removed")
        )
        both = np.isfinite(original) & np.isfinite(threshold) & np.isfinite(removed)
        if both.sum() < 3:
            continue
        related = correlation(original[both], threshold[both])
        falls = interval((removed < original)[both].astype(float))
        for saying, measured, found, holds in (
            ("the threshold is not directly related to p", "Spearman of both", related, 0.0),
            (f"p falls for {FALLING:.0%}", "share of the pictures whose p falls", falls, FALLING),
        ):
            lines.append({
                "the paper says": saying, "class": f"number {rank}",
                "number": f"{measured}, {both.sum()} pictures", "measured": found.text(2),
                "here": f"**{_excluded(found, holds)}**",
            })  # fmt: skip
    return lines


def _excluded(found: Interval, value: float) -> str:
    """Whether the interval excludes the paper's value."""
    return "undecided" if not found.low > value and not found.high < value else "fails"


def _draw(
    subject: Subject,
    top: np.ndarray,
    options: Mapping[str, Any],
    seed: int,
    count: int,
    folder: Path,
) -> None:
    """Draw the four figures of the first pictures; those that exist stay."""
    for at, image in enumerate(subject.drawn.images[:count]):
        paths = {number: folder / f"{at:04d}.figure{number}.png" for number in range(1, 5)}
        if all(path.exists() for path in paths.values()):
            continue
        names = [subject.model.labels[i] for i in top[at]]
        both = compare_maps(
            subject.model.classifier, image, top[at], options=options, seed=seed,
            name=subject.drawn.ids[at],
        )  # fmt: skip
        figures = {
            1: nonlinear.snapshots(image, both.nonlinear, names),
            2: nonlinear.trajectories(both, names),
            3: nonlinear.linear_and_nonlinear(image, both, names),
            4: nonlinear.removal(both, names),
        }
        for number, path in paths.items():
            figures[number].savefig(path, dpi=110)
