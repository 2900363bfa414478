"""The tables of an infill-recovery run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jax.tree_util import Partial

from eval.intervals import Interval, difference
from eval.report import Box
from eval.report.reading import StoredRun

HEURISTICS = ("mean", "blur", "random", "local", "road")
TRUTH = "picture"
"""The name of the infiller that puts back what was there."""
NUMBERS = {
    "probability": ("p(class) after infill", "high"),
    "absolute": ("mean absolute error", "low"),
    "rms": ("root mean square error", "low"),
    "copied": ("copies of the nearest kept pixel", "none"),
    "copied_within": ("copies within a window of 15", "none"),
}
"""Fields of `fidojax.metrics.InfillQuality` with their label and which is better."""


class Holes(NamedTuple):
    """A kind of holes: its name in tables and figures, and a function of key and shape."""

    title: str
    draw: Partial


class Comparison(NamedTuple):
    """A learned infiller against the best heuristic, by one statistic of the probability.

    Attributes:
        pictures: "all" or "classified right".
        kind: of holes.
        fill: the learned infiller.
        statistic: "mean" or "median".
        best: the heuristic with the highest statistic on the same pictures.
        ahead: the learned one's statistic minus the best one's.
    """

    pictures: str
    kind: str
    fill: str
    statistic: str
    best: str
    ahead: Interval


def kind_of(fill: str) -> str:
    """The name of the infiller without its value: of local:5 local."""
    return fill.partition(":")[0]


def learned(fills: Iterable[str]) -> list[str]:
    """The infillers with weights."""
    return [fill for fill in fills if kind_of(fill) not in HEURISTICS and fill != TRUTH]


def subsets(run: StoredRun) -> dict[str, np.ndarray]:
    """ "n" bool: all pictures, and those that are classified right, where there are at least 2."""
    right = run.pictures.read("labels") == run.pictures.read("predictions")
    found = {"all": np.ones_like(right), "classified right": right}
    return {name: chosen for name, chosen in found.items() if chosen.sum() > 1}


def tables(
    run: StoredRun, *, holes: Mapping[str, Holes], panels: Sequence[str]
) -> dict[str, list[dict[str, str]]]:
    """Probabilities, learned infillers against the best heuristic, and all numbers by hole."""
    found = {
        f"p(class) after infill, {name}: median (quartiles); mean": [
            {"infill": fill}
            | {
                holes[kind].title: _box(run.values(f"probability {kind}", fill)[chosen])
                for kind in panels
            }
            for fill in run.study["rows"]
        ]
        for name, chosen in subsets(run).items()
    }
    comparisons = compare(run, panels)
    if comparisons:
        found["Learned infillers against the best heuristic, in short"] = verdicts(comparisons)
        found["Learned infillers against the best heuristic"] = [
            {
                "infill": each.fill,
                "holes": holes[each.kind].title,
                "pictures": each.pictures,
                "of the": each.statistic,
                "best heuristic": each.best,
                "difference": each.ahead.text(signed=True),
            }
            for each in comparisons
        ]
    return found | {
        f"{label}, mean over pictures": [
            {"infill": fill}
            | {
                hole.title: f"{np.nanmean(run.scored['quality', fill].read(name)[:, at]):.3f}"
                for at, hole in enumerate(holes.values())
            }
            for fill in run.study["rows"]
        ]
        for name, (label, _) in NUMBERS.items()
    }


def compare(run: StoredRun, panels: Sequence[str]) -> list[Comparison]:
    """Each learned infiller against the best heuristic on the same holes and pictures, paired."""
    fills = [*run.study["rows"]]
    heuristics = [fill for fill in fills if kind_of(fill) in HEURISTICS]
    found = []
    for name, chosen in subsets(run).items():
        for statistic, of in (("mean", np.mean), ("median", np.median)):
            for fill in learned(fills) if heuristics else ():
                for kind in panels:
                    values = {
                        each: run.values(f"probability {kind}", each)[chosen]
                        for each in (*heuristics, fill)
                    }
                    best = max(heuristics, key=lambda each: of(values[each]))
                    ahead = difference(values[fill], values[best], statistic)
                    found.append(Comparison(name, kind, fill, statistic, best, ahead))
    return found


def verdicts(comparisons: Sequence[Comparison]) -> list[dict[str, str]]:
    """In how many comparisons each learned infiller is above or below the best heuristic."""
    lines = []
    for fill in dict.fromkeys(each.fill for each in comparisons):
        own = [each.ahead for each in comparisons if each.fill == fill]
        above, below = sum(each.low > 0 for each in own), sum(each.high < 0 for each in own)
        lines.append(
            {
                "infill": fill,
                "comparisons": str(len(own)),
                "above": str(above),
                "below": str(below),
                "not told apart": str(len(own) - above - below),
            }
        )
    return lines


def _box(values: np.ndarray) -> str:
    return f"{Box.of(values).text(3)}; {values.mean():.3f}"
