"""Figures 1 to 4 of the paper on nonlinear saliency maps, for several classes of one picture.

The functions take a `fidojax.methods.Comparison` and the classes' names, and return a figure. They
neither show nor save it.

Reference: Rosenzweig et al. 2021 (arXiv 2110.06639).
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fidojax.methods import Comparison
from fidojax.types import Explanation

NONLINEAR, LINEAR = "#2a6f97", "#c1666b"

Pixels = Float[np.ndarray, "h w c"]


def snapshots(image: Pixels, maps: Explanation, names: Sequence[str]) -> Figure:
    """Figure 1: the picture on its way to each class, and the map below, level by level.

    Args:
        image: "h w c" in [0, 1].
        maps: of one method, with a leading axis of classes.
        names: of the classes.
    """
    infos = _by_class(maps)
    levels = [float(level) for level in infos[0].levels]
    drawing = _figure(1.25 * len(levels) + 0.4, 2.65 * len(infos) * _aspect(image) + 0.4)
    panels = drawing.subplots(2 * len(infos), len(levels), squeeze=False)
    for row, (info, name) in enumerate(zip(infos, names, strict=True)):
        for column, level in enumerate(levels):
            moved, covered = panels[2 * row, column], panels[2 * row + 1, column]
            _show(moved, info.images[column])
            _show(covered, _covered(image, info, level))
            point = _point(info, level)
            chance = _percent(info.probabilities[point])
            moved.set_title(f"{100 * level:.0f} %\n{chance}" if row == 0 else chance, fontsize=8)
        panels[2 * row, 0].set_ylabel(f"to {_plain(name)}", fontsize=8)
        panels[2 * row + 1, 0].set_ylabel("map", fontsize=8)
    drawing.suptitle("share of pixels blurred, and the class's probability", fontsize=9)
    return drawing


def trajectories(comparison: Comparison, names: Sequence[str]) -> Figure:
    """Figure 2: the probability of each class against the share of blurred pixels."""
    nonlinear, linear = _by_class(comparison.nonlinear), _by_class(comparison.linear)
    drawing = _figure(3.8 * len(names), 3.2)
    panels = drawing.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axis, one, two, name in zip(panels, nonlinear, linear, names, strict=True):
        axis.plot(100 * two.level, two.probabilities, color=LINEAR, label="linear")
        axis.plot(100 * one.level, one.probabilities, color=NONLINEAR, label="nonlinear")
        axis.axvline(100 * float(one.threshold), color=NONLINEAR, linestyle=":", linewidth=1)
        axis.plot(100 * one.level[one.best], one.probability, "o", color=NONLINEAR, clip_on=False)
        axis.set_title(
            f"{_plain(name)}\n{_percent(one.original)} on the image, "
            f"threshold {100 * float(one.threshold):.0f} %",
            fontsize=9,
        )
        axis.set(xlabel="% of pixels blurred", xlim=(0, 100 * float(one.level[-1])))
        axis.set_ylim(0, 1.02)
        axis.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("probability of the class")
    drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return drawing


def linear_and_nonlinear(
    image: Pixels, comparison: Comparison, names: Sequence[str], level: float = 0.95
) -> Figure:
    """Figure 3: the picture, its linear and its nonlinear map, one row for each class."""
    rows = zip(_by_class(comparison.linear), _by_class(comparison.nonlinear), names, strict=True)
    drawing = _figure(6.6, 2.2 * len(names) * _aspect(image) + 0.4)
    panels = drawing.subplots(len(names), 3, squeeze=False)
    for line, (linear, nonlinear, name) in zip(panels, rows, strict=True):
        _show(line[0], image)
        line[0].set_ylabel(_plain(name), fontsize=9)
        for axis, info in zip(line[1:], (linear, nonlinear), strict=True):
            _show(axis, _covered(image, info, level))
    titles = (
        "image",
        f"linear, {100 * level:.0f} % covered",
        f"nonlinear, {100 * level:.0f} % covered",
    )
    for axis, title in zip(panels[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    return drawing


def removal(comparison: Comparison, names: Sequence[str]) -> Figure:
    """Figure 4: the picture with only the most salient pixels blurred, and what that does.

    The upper row blurs those of the nonlinear map; the bars below compare both maps.
    """
    nonlinear, linear = _by_class(comparison.nonlinear), _by_class(comparison.linear)
    tall = 2.6 * _aspect(nonlinear[0].removed)
    drawing = _figure(3.2 * len(names), tall + 2.0)
    panels = drawing.subplots(2, len(names), squeeze=False, height_ratios=(tall, 1.8))
    for column, (one, two, name) in enumerate(zip(nonlinear, linear, names, strict=True)):
        _show(panels[0, column], one.removed)
        blurred = 1 - float(one.level[-1])
        title = f"{_plain(name)}: its top {100 * blurred:.0f} % blurred"
        panels[0, column].set_title(title, fontsize=9)
        axis = panels[1, column]
        values = [
            float(v) for v in (one.original, one.probability_removed, two.probability_removed)
        ]
        bars = axis.barh([2, 1, 0], values, color=["0.6", NONLINEAR, LINEAR], height=0.7)
        axis.bar_label(bars, [_percent(v) for v in values], padding=3, fontsize=8)
        axis.set_yticks([2, 1, 0], ["image", "nonlinear", "linear"], fontsize=8)
        axis.set(xlim=(0, 1.3), xticks=(0, 0.5, 1))
        axis.spines["bottom"].set_bounds(0, 1)
        axis.tick_params(labelsize=8)
        axis.set_xlabel("probability of the class", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return drawing


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), facecolor="white", layout="constrained")


def _by_class(maps: Explanation) -> list[Any]:
    """The trajectory of each class, as NumPy arrays."""
    info = jax.tree.map(np.asarray, maps.info)
    return [jax.tree.map(lambda leaf: leaf[i], info) for i in range(len(info.best))]  # noqa: B023


def _point(info: Any, level: float) -> int:
    return int(np.abs(info.level - level).argmin())


def _covered(image: Pixels, info: Any, level: float) -> Pixels:
    return np.where(info.sharp[_point(info, level)][..., None], image, 1.0)


def _aspect(image: np.ndarray) -> float:
    return image.shape[0] / image.shape[1]


def _show(axis: Axes, image: np.ndarray) -> None:
    axis.imshow(image if image.shape[2] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _percent(share: Any) -> str:
    value = 100 * float(share)
    if 99.95 <= value < 100:
        return "> 99.9 %"
    return f"{value:.1f} %" if value >= 0.1 else f"{value:.2g} %"


def _plain(name: str) -> str:
    return name.replace("$", r"\$")  # a class name is no formula
