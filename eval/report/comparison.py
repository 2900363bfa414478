"""What a run measured: means with intervals, who is best, whether the paper's orderings hold."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from eval.intervals import Interval, means
from eval.report.reading import StoredRun

CONTROLS = "controls"
"""Group of the rows that do not compete for the best: one of them may know the true box."""
ENOUGH = 0.9
"""A row competes where it has this share of the pictures that the fullest row has."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

BEST, WORSE, BETTER, SAME = "best", "worse", "better", "same"
HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"

Samples = Mapping[str, Mapping[str, np.ndarray]]
"""One value per picture, by number and row."""


def samples_of(run: StoredRun) -> dict[str, dict[str, np.ndarray]]:
    """All numbers of all rows, one value per picture."""
    rows = run.study["rows"]
    return {key: {row: run.values(key, row) for row in rows} for key in run.study["numbers"]}


def numbers(run: StoredRun, samples: Samples) -> dict[str, Any]:
    """For every number its best row, and for every row the mean and its distance to the best.

    A row's `mark` is "best"; "worse" or "better" than the best where the interval of the paired
    difference excludes 0; "same" where it does not; None where there is nothing to compare.
    """
    cells = [(key, row) for key, of in samples.items() for row in of]
    found = {
        cell: _plain(interval, samples[cell[0]][cell[1]])
        for cell, interval in zip(
            cells, means(_columns([samples[key][row] for key, row in cells], len(run))), strict=True
        )
    }
    best = {key: _best(run, key, found) for key in samples}
    apart = [samples[key][row] - samples[key].get(best[key] or "", np.nan) for key, row in cells]
    differences = means(_columns(apart, len(run)))
    for cell, values, interval in zip(cells, apart, differences, strict=True):
        key, row = cell
        better = run.study["numbers"][key]["better"]
        compares = best[key] is not None and row != best[key]
        found[cell] |= {
            **_quantiles(samples[key][row]),
            "published": run.study["published"].get(row, {}).get(key),
            "difference": _plain(interval, values) if compares else None,
            "mark": _mark(interval, better) if compares else BEST if row == best[key] else None,
        }
    return {
        key: {
            **run.study["numbers"][key],
            "best": best[key],
            "binary": _binary(samples[key].values()),
            "rows": {row: found[key, row] for row in samples[key]},
        }
        for key in samples
    }


def claims(run: StoredRun, samples: Samples) -> list[dict[str, Any]]:
    """For every claim the paired difference, worse row minus better row, and the verdict."""
    stated = run.study["claims"]
    nothing = np.full(len(run), np.nan)
    apart = []
    for claim in stated:
        of = samples.get(claim["number"], {})
        apart.append(of.get(claim["worse"], nothing) - of.get(claim["better"], nothing))
    found = means(_columns(apart, len(run)))
    return [
        {**claim, "difference": _plain(interval, values), "verdict": _verdict(run, claim, interval)}
        for claim, values, interval in zip(stated, apart, found, strict=True)
    ]


def curves(run: StoredRun) -> dict[str, Any]:
    """For every curve and row the mean at each x with its interval."""
    found = {}
    for key, of in run.study["curves"].items():
        measured = {row: run.curve(key, row) for row in run.study["rows"]}
        measured = {row: v for row, v in measured.items() if np.isfinite(v).any()}
        points = means(np.concatenate([*measured.values()], axis=1)) if measured else []
        rows = {}
        for i, (row, values) in enumerate(measured.items()):
            own = points[i * len(of["x"]) : (i + 1) * len(of["x"])]
            mean, low, high = (list(bound) for bound in zip(*own, strict=True))
            counts = np.isfinite(values).sum(axis=0).tolist()
            rows[row] = {"n": counts, "mean": mean, "low": low, "high": high}
        found[key] = {**of, "rows": rows}
    return found


def _best(
    run: StoredRun, key: str, found: Mapping[tuple[str, str], Mapping[str, Any]]
) -> str | None:
    better = run.study["numbers"][key]["better"]
    rows = [row for row, of in run.study["rows"].items() if of["group"] != CONTROLS]
    rows = [row for row in rows if found[key, row]["n"]]
    if better == "none" or len(rows) < 1:
        return None
    enough = ENOUGH * max(found[key, row]["n"] for row in rows)
    sign = 1 if better == "low" else -1
    rows = [row for row in rows if found[key, row]["n"] >= enough]
    return min(rows, key=lambda row: sign * found[key, row]["mean"])


def _mark(difference: Interval, better: str) -> str | None:
    """The mark of a row, from its difference to the best row."""
    if not np.isfinite(difference.value):
        return None
    side = _side(difference)
    return SAME if side == 0 else WORSE if (side > 0) == (better == "low") else BETTER


def _verdict(run: StoredRun, claim: Mapping[str, Any], difference: Interval) -> str:
    better = run.study["numbers"].get(claim["number"], {}).get("better", "none")
    side = _side(difference)
    if better == "none" or side == 0:
        return UNDECIDED
    return HOLDS if (side > 0) == (better == "low") else FAILS


def _side(difference: Interval) -> int:
    """The side of 0 on which the interval lies; 0 where it holds 0 or does not exist."""
    return int(difference.low > 0) - int(difference.high < 0)


def _columns(samples: list[np.ndarray], count: int) -> np.ndarray:
    return np.stack(samples, axis=1) if samples else np.empty((count, 0))


def _plain(interval: Interval, values: np.ndarray) -> dict[str, Any]:
    return {
        "n": int(np.isfinite(values).sum()),
        "mean": interval.value,
        "low": interval.low,
        "high": interval.high,
    }


def _binary(samples: Iterable[np.ndarray]) -> bool:
    """Whether all values are 0 or 1, so that quartiles say nothing."""
    every = np.concatenate([*samples])
    every = every[np.isfinite(every)]
    return len(every) > 0 and bool(np.isin(every, (0, 1)).all())


def _quantiles(values: np.ndarray) -> dict[str, float]:
    values = values[np.isfinite(values)]
    found = np.quantile(values, QUANTILES) if len(values) else np.full(len(QUANTILES), np.nan)
    return {f"q{100 * q:02.0f}": float(v) for q, v in zip(QUANTILES, found, strict=True)}
