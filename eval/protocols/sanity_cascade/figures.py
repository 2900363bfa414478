"""The figures of sanity checks: agreement by the number of layers, one picture at every level."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eval.intervals import Interval, means
from eval.report import Panel, panels
from eval.report.reading import StoredRun


def by_level(
    path: Path,
    run: StoredRun,
    lines: Mapping[str, Mapping[str, str]],
    measures: Sequence[str],
) -> None:
    """Mean agreement by the number of layers drawn anew, with 95% intervals, a panel per measure.

    The floor, maps of other pictures, stands at the end as a square.

    Args:
        lines: by the line's name, the rows by the title of their level.
        measures: keys of `eval.protocols.sanity_cascade.likeness`.
    """
    import matplotlib.pyplot as plt

    width = 4.4 * len(measures)
    figure, axes = plt.subplots(1, len(measures), figsize=(width, 4.2), layout="constrained")
    titles = [*next(iter(lines.values())), "other picture"]
    at = np.arange(len(titles))
    for axis, measure in zip(axes, measures, strict=True):
        for place, (name, rows) in enumerate(lines.items()):
            points = [mean_of(run, measure, row) for row in rows.values()]
            points.append(floor_of(run, measure, [*rows.values()][-1]))
            value, low, high = np.array(points).T
            error = np.maximum([value - low, high - value], 0)
            x = at + 0.05 * (place - (len(lines) - 1) / 2)
            style = {"color": f"C{place}", "ms": 3, "lw": 1, "elinewidth": 0.7}
            axis.errorbar(x[:-1], value[:-1], error[:, :-1], marker="o", label=name, **style)
            axis.errorbar(x[-1:], value[-1:], error[:, -1:], marker="s", **style)
        axis.set_xticks(at, [title.replace(", ", ",\n") for title in titles], fontsize=8)
        label = run.study["numbers"][measure]["label"]
        axis.set(title=label, xlabel="the classifier's layers drawn anew")
        axis.grid(axis="y", alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=8, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def mean_of(run: StoredRun, number: str, row: str) -> Interval:
    """The mean of a number over the pictures that have it."""
    return means(run.values(number, row)[:, None])[0]


def floor_of(run: StoredRun, measure: str, row: str) -> Interval:
    """The mean agreement of the maps of the row's `like` with those of other pictures."""
    own, above = (run.values(key, row) for key in (measure, f"{measure} above others"))
    return means((own - above)[:, None])[0]


def one_picture(path: Path, run: StoredRun, lines: Mapping[str, Mapping[str, str]]) -> None:
    """The first picture's maps: lines down, levels across."""
    image = run.pictures.read("images", [0])[0] / 255
    maps = {
        title: {name: run.maps(rows[title])[0] for name, rows in lines.items()}
        for title in next(iter(lines.values()))
    }
    panels(path, [Panel(image, title, shown) for title, shown in maps.items()])
