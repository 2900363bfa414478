"""The tables of `benchmarks.fido_cost.warm_start`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.fido_cost.columns import TITLES, against, cells, known
from eval.report import markdown_table

MEASURES = ("objective", "outside", "correlation", "long_run")
FALLING = ("objective", "outside")
"""Measures that are better where they are lower."""
RESAMPLES = 1000

Curve = dict[int, Float[np.ndarray, " n"]]
"""One value per picture, by the number of evaluations."""


def tables(cases: Sequence[Any], starts: Sequence[str]) -> str:
    """Return all cases, and the evaluations that each start needs to reach the first one."""
    names = known([case.values for case in cases], MEASURES)
    return _cases(cases, starts[0], names) + "\n" + _savings(cases, starts, names)


def _cases(cases: Sequence[Any], first: str, names: Sequence[str]) -> str:
    by = {(case.start, case.evaluations): case.values for case in cases}
    lines = []
    for case in cases:
        other = by.get((first, case.evaluations))
        lines.append(
            {
                "start": case.start,
                "evaluations": f"{case.evaluations}",
                **cells(case.values, names[:1]),
                f"against {first} [95%]": ""
                if other is None or case.start == first
                else against(case.values, other),
                **cells(case.values, names[1:]),
                "on": f"{case.values['on'].mean():.3f}",
            }
        )
    return markdown_table(lines)


def _savings(cases: Sequence[Any], starts: Sequence[str], names: Sequence[str]) -> str:
    """Return the evaluations at which each start equals the first one, by its evaluations.

    The column "all" requires all measures at once.
    """
    first, *others = starts
    curves = {
        (start, name): {c.evaluations: c.values[name] for c in cases if c.start == start}
        for start in starts
        for name in names
    }
    budgets = [n for n in curves[first, names[0]] if n]
    lines = []
    for start in others:
        for budget in budgets:
            ours, theirs = ({n: curves[s, n] for n in names} for s in (start, first))
            means = needed(ours, theirs, budget, slice(None))
            found = {TITLES[name]: _evaluations(means[name], budgets) for name in names}
            low, high = (_evaluations(n, budgets) for n in _bounds(ours, theirs, budget))
            found[TITLES[names[0]]] += f" [{low}, {high}]"
            whole = _evaluations(max(means.values()), budgets)
            lines.append({"start": start, f"{first} at": f"{budget}", **found, "all": whole})
    return markdown_table(lines) if lines else ""


def needed(
    ours: Mapping[str, Curve], theirs: Mapping[str, Curve], budget: int, rows: Any
) -> dict[str, float]:
    """Return the evaluations at which our mean reaches theirs at `budget`, by measure.

    Between two numbers of evaluations the mean is interpolated linearly in their logarithm. The
    result is infinite where our mean never reaches theirs.

    Args:
        rows: the pictures to average over.
    """
    found = {}
    for name, curve in ours.items():
        sign = -1 if name in FALLING else 1
        wanted = sign * np.nanmean(theirs[name][budget][rows])
        reached, before = np.inf, None
        for evaluations in sorted(curve):
            values = curve[evaluations][rows]
            if np.isnan(values).all():
                continue
            value = sign * np.nanmean(values)
            if value >= wanted:
                reached = evaluations
                if before is not None and before[0] > 0:
                    share = (wanted - before[1]) / (value - before[1])
                    reached = before[0] * (evaluations / before[0]) ** share
                break
            before = (evaluations, value)
        found[name] = float(reached)
    return found


def _bounds(
    ours: Mapping[str, Curve], theirs: Mapping[str, Curve], budget: int
) -> tuple[float, float]:
    """Return the 95% interval of `needed` for the objective, by the bootstrap over pictures."""
    count = len(theirs["objective"][budget])
    draws = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    one, other = ({"objective": curves["objective"]} for curves in (ours, theirs))
    found = [needed(one, other, budget, rows)["objective"] for rows in draws]
    low, high = np.percentile(found, (2.5, 97.5), method="nearest")
    return float(low), float(high)


def _evaluations(number: float, budgets: Sequence[int]) -> str:
    if np.isinf(number):
        return f"> {max(budgets)}"
    # Below the smallest number nothing was measured.
    return f"≤ {number:.0f}" if number == min(budgets) else f"{number:.0f}"
