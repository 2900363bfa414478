"""The tables of an infill-recovery run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from eval.intervals import Interval, difference, interval
from eval.protocols.infill_recovery.standing import standings
from eval.report import Box
from eval.report.reading import StoredRun

HEURISTICS = ("mean", "blur", "random", "local", "road")
TRUTH = "picture"
"""The name of the infiller that puts back what was there."""

Table = list[dict[str, str]]


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


def stored(run: StoredRun, name: str, fill: str, at: int) -> np.ndarray:
    """A stored number of a kind of holes, "n", NaN where there is none.

    Args:
        at: the place of the kind.
    """
    found = run.column("quality", fill, name)
    return np.full(len(run), np.nan) if found is None else found[:, at]


def tables(
    run: StoredRun,
    *,
    kinds: Mapping[str, str],
    panels: Sequence[str],
    measured: Mapping[str, tuple[str, str]],
) -> dict[str, Table]:
    """All tables by title: who is ahead, probabilities, all numbers by hole, and the time.

    Args:
        kinds: titles by kind of holes, in the order of the stored columns.
        panels: the kinds that are compared.
        measured: labels and directions of the stored numbers, as `recover.numbers` returns them.
    """
    fills = [*run.study["rows"]]
    found = standings(run, fills, learned(fills), kinds, panels, measured)
    for name, (label, _) in measured.items():
        if not name.startswith("probability"):
            continue
        for group, chosen in subsets(run).items():
            found[f"{label}, {group}: median (quartiles); mean"] = [
                {"infill": fill}
                | {
                    kinds[kind]: _box(stored(run, name, fill, [*kinds].index(kind))[chosen])
                    for kind in panels
                }
                for fill in fills
            ]
    comparisons = compare(run, panels)
    if comparisons:
        found["Learned infillers against the best heuristic, in short"] = verdicts(comparisons)
        found["Learned infillers against the best heuristic"] = [
            {
                "infill": each.fill,
                "holes": kinds[each.kind],
                "pictures": each.pictures,
                "of the": each.statistic,
                "best heuristic": each.best,
                "difference": each.ahead.text(signed=True),
            }
            for each in comparisons
        ]
    for name, (label, _) in measured.items():
        found[f"{label}, mean over pictures"] = [
            {"infill": fill}
            | {title: _mean(stored(run, name, fill, at)) for at, title in enumerate(kinds.values())}
            for fill in fills
        ]
    return found | {MASKS: _masks(run, kinds), SECONDS: seconds(run, fills, len(kinds))}


MASKS = "Masks"
"""The title of the table of the masks themselves."""
SECONDS = "Seconds per picture, all kinds of holes"
"""The title of the table of times."""


def _masks(run: StoredRun, kinds: Mapping[str, str]) -> Table:
    """How many pixels the masks keep, and of how many pictures there is one that keeps any."""
    lines = []
    for at, title in enumerate(kinds.values()):
        kept = stored(run, "kept", TRUTH, at)
        kept = kept[kept > 0]
        shares = interval(kept).text() if len(kept) else ""
        lines.append({"holes": title, "share kept": shares, "pictures": str(len(kept))})
    return lines


def seconds(run: StoredRun, fills: Sequence[str], holes: int) -> Table:
    """What each infiller took, and its fills alone: the time beyond that of the truth.

    Of the lowest times, which other work on the machine disturbs least.
    """
    times = {
        fill: run.explained[fill].read("seconds").astype(float)
        for fill in fills
        if fill in run.explained and "seconds" in run.explained[fill].names
    }
    lowest = {fill: float(np.nanmin(own)) for fill, own in times.items()}
    judged = lowest.get(TRUTH, float("nan"))
    return [
        {
            "infill": fill,
            "filling and judging, median": f"{np.nanmedian(own):.3f}",
            "lowest": f"{lowest[fill]:.3f}",
            "filling alone": f"{max(lowest[fill] - judged, 0):.3f}",
            "per fill": f"{max(lowest[fill] - judged, 0) / holes:.4f}",
        }
        for fill, own in times.items()
    ]


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
                    there = np.isfinite([*values.values()]).all(axis=0)
                    if not there.any():
                        continue
                    values = {each: own[there] for each, own in values.items()}
                    best = max(heuristics, key=lambda each: of(values[each]))
                    ahead = difference(values[fill], values[best], statistic)
                    found.append(Comparison(name, kind, fill, statistic, best, ahead))
    return found


def verdicts(comparisons: Sequence[Comparison]) -> Table:
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
    values = values[np.isfinite(values)]
    return f"{Box.of(values).text(3)}; {values.mean():.3f}" if len(values) else ""


def _mean(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    return f"{values.mean():.3f}" if len(values) else ""
