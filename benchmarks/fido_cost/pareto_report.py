"""The table and the figure of `benchmarks.fido_cost.pareto`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.fido_cost.columns import against, cells, known, mean
from eval.report import markdown_table
from fidojax import Stop

MEASURES = ("objective", "outside", "deletion", "correlation")
TITLES = {
    "objective": "expected objective J (nats)",
    "outside": "share outside the boxes",
    "deletion": "share deleted at half the log-odds",
    "correlation": "correlation of two seeds",
}
COLOURS = ("#444444", "#2a6f97", "#c1666b", "#9a9a9a", "#7fb3d5")


def _criterion(stop: Stop | None) -> str:
    return "" if stop is None else f"{stop.move:g}, {stop.gain:g}"


def table(points: Sequence[Any]) -> str:
    """Return all points with 95% intervals over pictures.

    J is also compared with that of the family "paper" at its last, longest schedule.
    """
    full = next((point for point in reversed(points) if point.family == "paper"), None)
    names = known([point.values for point in points], MEASURES)
    return markdown_table(
        [
            {
                "schedule": point.family,
                "stop: move, gain": f"{point.stop.move:g}, {point.stop.gain:g}"
                if point.stop
                else "",
                "evaluations": f"{point.values['evaluations'].mean():.0f}",
                **cells(point.values, names[:1]),
                "ΔJ to the paper's": against(point.values, full.values)
                if full and point is not full
                else "",
                **cells(point.values, names[1:]),
            }
            for point in points
        ]
    )


def figure(points: Sequence[Any]) -> Figure:
    """Plot one panel per measure over the evaluations, with one line per family."""
    names = known([point.values for point in points], MEASURES)
    drawing = Figure(figsize=(3.4 * len(names), 3.6), layout="constrained")
    panels = drawing.subplots(1, len(names), squeeze=False)[0]
    families = list(dict.fromkeys(point.family for point in points))
    for panel, name in zip(panels, names, strict=True):
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
    found = np.array([mean(point.values, name) for point in points]).T
    colour = COLOURS[at % len(COLOURS)]
    panel.plot(spent, found[0], "o-", color=colour, label=points[0].family, markersize=4)
    panel.fill_between(spent, found[1], found[2], color=colour, alpha=0.1, linewidth=0)
