"""The table and the figure of `benchmarks.fido_cost.pareto`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.intervals import Interval, difference, means

MEASURES = {
    "objective": "J",
    "outside": "outside box",
    "deletion": "deleted",
    "correlation": "seeds",
}
"""What a map is worth, by its column; all but the last are better where they are lower."""
TITLES = {
    "objective": "expected objective J (nats)",
    "outside": "share outside the boxes",
    "deletion": "share deleted at half the log-odds",
    "correlation": "correlation of two seeds",
}
COLOURS = ("#444444", "#2a6f97", "#c1666b", "#9a9a9a", "#7fb3d5")


def table(points: Sequence[Any]) -> str:
    """All points, with 95% intervals over pictures; J also against the last, longest of paper's."""
    full = [point for point in points if point.family == "paper"][-1:]
    columns = [MEASURES[name] for name in _known(points)]
    head = ["schedule", "stop: move, gain", "evaluations", *columns[:1], "ΔJ to the paper's"]
    lines = [_row([*head, *columns[1:]]), "|" + "---|" * (len(head) + len(columns) - 1)]
    for point in points:
        stop = "" if point.stop is None else f"{point.stop.move:g}, {point.stop.gain:g}"
        cells = [_interval(point, name).text(_digits(name)) for name in _known(points)]
        against = ""
        if full and point is not full[0]:
            pair = [each.values["objective"] for each in (point, full[0])]
            against = difference(*pair).text(2, signed=True)
        spent = f"{point.values['evaluations'].mean():.0f}"
        lines.append(_row([point.family, stop, spent, cells[0], against, *cells[1:]]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _digits(name: str) -> int:
    return 2 if name == "objective" else 3


def _known(points: Sequence[Any]) -> list[str]:
    """The measures that any point has: without boxes there is no share outside them."""
    return [name for name in MEASURES if any(_usable(point, name) for point in points)]


def _usable(point: Any, name: str) -> bool:
    return not np.isnan(point.values[name]).all()


def _interval(point: Any, name: str) -> Interval:
    return means(point.values[name][:, None])[0]


def figure(points: Sequence[Any]) -> Figure:
    """One panel per measure over the evaluations, one line per family."""
    known = _known(points)
    drawing = Figure(figsize=(3.4 * len(known), 3.6), layout="constrained")
    panels = drawing.subplots(1, len(known), squeeze=False)[0]
    families = list(dict.fromkeys(point.family for point in points))
    for panel, name in zip(panels, known, strict=True):
        for at, family in enumerate(families):
            _line(panel, [p for p in points if p.family == family], name, at)
        panel.set_xscale("log")
        ticks = (60, 120, 240, 480, 960, 2400)
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.minorticks_off()
        panel.set_xlabel("evaluations per map")
        panel.set_title(TITLES[name], fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return drawing


def _line(panel: Axes, points: Sequence[Any], name: str, at: int) -> None:
    points = sorted(points, key=lambda point: point.values["evaluations"].mean())
    spent = [point.values["evaluations"].mean() for point in points]
    found = np.array([_interval(point, name) for point in points]).T
    colour = COLOURS[at % len(COLOURS)]
    panel.plot(spent, found[0], "o-", color=colour, label=points[0].family, markersize=4)
    panel.fill_between(spent, found[1], found[2], color=colour, alpha=0.1, linewidth=0)
