"""The tables of `benchmarks.fido_cost.warm_start`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from eval.intervals import difference, interval

MEASURES = {
    "objective": "J",
    "outside": "outside box",
    "correlation": "seeds",
    "long_run": "like the paper's map",
}
"""What is compared, by its column; the first two are better where they are lower."""
FALLING = ("objective", "outside")
RESAMPLES = 1000

Curve = dict[int, Float[np.ndarray, " n"]]
"""One value per picture, by evaluations."""


def tables(cases: Sequence[Any], starts: Sequence[str]) -> str:
    """All cases, and what each start needs to reach what the first one has."""
    known = [name for name in MEASURES if any(_usable(case, name) for case in cases)]
    return "\n\n".join([_cases(cases, starts[0], known), _savings(cases, starts, known)])


def _usable(case: Any, name: str) -> bool:
    return name in case.values and not np.isnan(case.values[name]).all()


def _cases(cases: Sequence[Any], first: str, known: Sequence[str]) -> str:
    by = {(case.start, case.evaluations): case.values for case in cases}
    columns = [MEASURES[name] for name in known]
    head = ["start", "evaluations", *columns[:1], f"against {first} [95%]", *columns[1:], "on"]
    lines = [" | ".join(["", *head, ""]).strip(), "|" + "---|" * len(head)]
    for case in cases:
        other = by.get((first, case.evaluations))
        cells = [_cell(case, name) for name in known]
        against = ""
        if other is not None and case.start != first:
            against = difference(case.values["objective"], other["objective"]).text(2, signed=True)
        row = [case.start, str(case.evaluations), cells[0], against, *cells[1:]]
        row.append(f"{case.values['on'].mean():.3f}")
        lines.append(" | ".join(["", *row, ""]).strip())
    return "\n".join(lines)


def _cell(case: Any, name: str) -> str:
    if not _usable(case, name):
        return ""
    values = case.values[name]
    return interval(values[~np.isnan(values)]).text(2 if name == "objective" else 3)


def _savings(cases: Sequence[Any], starts: Sequence[str], known: Sequence[str]) -> str:
    """Evaluations at which each start is as good as the first one at so many; "all" is at once."""
    first, *others = starts
    rule = "|" + "---|" * (len(known) + 3)
    columns = " | ".join(MEASURES[name] for name in known)
    lines = [f"| start | {first} at | {columns} | all |", rule]
    curves = {
        (start, name): {c.evaluations: c.values[name] for c in cases if c.start == start}
        for start in starts
        for name in known
    }
    budgets = [n for n in curves[first, known[0]] if n]
    for start in others:
        for budget in budgets:
            ours, theirs = ({n: curves[s, n] for n in known} for s in (start, first))
            means = needed(ours, theirs, budget, slice(None))
            low, high = _bounds(ours, theirs, budget)
            cells = [_evaluations(means[name], budgets) for name in known]
            cells.append(_evaluations(max(means.values()), budgets))
            cells[0] += f" [{_evaluations(low, budgets)}, {_evaluations(high, budgets)}]"
            lines.append(f"| {start} | {budget} | {' | '.join(cells)} |")
    return "\n".join(lines)


def needed(
    ours: Mapping[str, Curve], theirs: Mapping[str, Curve], budget: int, rows: Any
) -> dict[str, float]:
    """After how many evaluations our mean first is as good as theirs at `budget`, by measure.

    Between two numbers of evaluations the mean is taken to be linear in their logarithm. Infinite
    where it never is.

    Args:
        rows: the pictures that count.
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
    """95% interval of what the objective needs, by the bootstrap over pictures."""
    count = len(theirs["objective"][budget])
    draws = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    one, other = ({"objective": curves["objective"]} for curves in (ours, theirs))
    found = [needed(one, other, budget, rows)["objective"] for rows in draws]
    low, high = np.percentile(found, (2.5, 97.5), method="nearest")
    return float(low), float(high)


def _evaluations(number: float, budgets: Sequence[int]) -> str:
    if np.isinf(number):
        return f"> {max(budgets)}"
    # At the smallest number it may have been as good long before.
    return f"≤ {number:.0f}" if number == min(budgets) else f"{number:.0f}"
