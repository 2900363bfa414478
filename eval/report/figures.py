"""Draw figures of stored results as PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.lines import Line2D

from eval.report.tables import Box
from fidojax.viz import DIVERGING, SEQUENTIAL, normalise


def box_plots(
    path: Path,
    panels: Mapping[str, Mapping[str, np.ndarray]],
    published: Mapping[str, Mapping[str, Box]],
    ylabel: str,
) -> None:
    """Draw one panel of box plots per metric, with the published box as a grey bar beside each.

    Boxes are quartiles, whiskers 1.5 times their distance.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.5 * len(panels), 4.2), layout="constrained", squeeze=False
    )
    for axis, (title, samples) in zip(axes[0], panels.items(), strict=True):
        axis.boxplot(
            [np.asarray(values) for values in samples.values()],
            widths=0.4,
            medianprops={"color": "C3"},
            flierprops={"marker": ".", "markersize": 4, "markeredgecolor": "0.5"},
        )
        for at, name in enumerate(samples, start=1):
            if box := published[title].get(name):
                x = at + 0.34
                axis.plot([x, x], [box.q1, box.q3], color="0.6", lw=6, solid_capstyle="butt")
                axis.plot(x, box.median, marker="_", color="black", ms=12, mew=1.5)
        axis.set_xticks(range(1, len(samples) + 1), list(samples), rotation=20, ha="right")
        axis.set_title(title)
        axis.grid(axis="y", alpha=0.3)
    axes[0][0].set_ylabel(ylabel)
    authors = Line2D([], [], color="0.6", lw=6, label="authors' quartiles and median")
    figure.legend(handles=[authors], loc="outside upper right", frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


class Triptych(NamedTuple):
    """An explained picture: itself, its map in [0, 1], the mixture, and a caption for each."""

    image: np.ndarray
    saliency: np.ndarray
    mixture: np.ndarray
    captions: tuple[str, str, str]


def triptychs(path: Path, rows: Sequence[Triptych], columns: int = 2) -> None:
    """Draw a compact gallery with `columns` triptychs beside each other."""
    import matplotlib.pyplot as plt

    lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        lines,
        3 * columns,
        figsize=(6.3 * columns, 2.3 * lines),
        layout="constrained",
        squeeze=False,
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for i, row in enumerate(rows):
        line, column = divmod(i, columns)
        for panel, title in enumerate(row.captions):
            axis = axes[line, 3 * column + panel]
            axis.set_title(title, fontsize=9)
            if panel == 1:
                axis.imshow(row.saliency, cmap="plasma", vmin=0, vmax=1)
            else:
                axis.imshow(np.clip((row.image, row.mixture)[panel // 2].squeeze(), 0, 1), "gray")
    figure.savefig(path, dpi=120)
    plt.close(figure)


class Panel(NamedTuple):
    """A picture with its caption, and its maps "h w" or further pictures "h w c" by name."""

    image: np.ndarray
    caption: str
    maps: Mapping[str, np.ndarray]


def panels(path: Path, columns: Sequence[Panel], side: float = 0.9) -> None:
    """Draw methods down and pictures across, each map between its 1st and 99th percentile.

    Args:
        side: of one map, in inches.
    """
    import matplotlib.pyplot as plt

    methods = list(columns[0].maps)
    size = (side * len(columns) + 1.6, side * (len(methods) + 1) + 0.3)
    figure, axes = plt.subplots(
        len(methods) + 1, len(columns), figsize=size, layout="constrained", squeeze=False
    )
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)  # type: ignore
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_frame_on(False)
    for column, panel in zip(axes.T, columns, strict=True):
        column[0].imshow(np.clip(panel.image.squeeze(), 0, 1), "gray")
        column[0].set_title(panel.caption[:16], fontsize=6)
        for axis, saliency in zip(column[1:], panel.maps.values(), strict=True):
            if saliency.ndim == 3:
                axis.imshow(np.clip(saliency.squeeze(), 0, 1), "gray")
                continue
            signed = bool(saliency.min() < 0)
            values, _ = normalise(saliency, symmetric=signed)
            axis.imshow(values, DIVERGING if signed else SEQUENTIAL, vmin=0, vmax=1)
    for axis, name in zip(axes[1:, 0], methods, strict=True):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    figure.savefig(path, dpi=150)
    plt.close(figure)
