"""The figures of an infill-recovery run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eval.intervals import means
from eval.protocols.infill_recovery.gallery import SHOWN, fill_again, gallery
from eval.protocols.infill_recovery.report import HEURISTICS, TRUTH, kind_of, learned
from eval.report.reading import StoredRun
from eval.study import StudyRow
from eval.subject import StudyRun, Subject


def draw(
    stored: StoredRun,
    folder: Path,
    *,
    of: Subject,
    rows: Mapping[str, StudyRow],
    kinds: Mapping[str, str],
    panels: Sequence[str],
    run: StudyRun,
    shown: Sequence[str],
) -> None:
    """Draw probability.png (Figure 16), rates.png and gallery_KIND.png (Figure 3) into a folder.

    Args:
        kinds: titles by kind of holes.
        panels: the kinds that are drawn.
        shown: the infillers in the galleries, the truth among them.
    """
    box_plots(folder / "probability.png", stored, {kind: kinds[kind] for kind in panels})
    if stored.study["curves"]:
        curves(folder / "rates.png", stored)
    chosen = np.flatnonzero(of.drawn.right)[:SHOWN]
    if not len(chosen):
        return
    filled = {name: fill_again(of, rows[name], chosen, run) for name in shown}
    for kind in panels:
        at = [*kinds].index(kind)
        gallery(folder / f"gallery_{kind}.png", of, chosen, filled, at)


ACROSS = 4
"""Panels side by side."""


def box_plots(path: Path, run: StoredRun, kinds: Mapping[str, str]) -> None:
    """FIDO Figure 16: a panel per kind of holes, a box of the probability per infiller.

    Boxes are quartiles, whiskers 1.5 times their distance; the number is the median.

    Args:
        kinds: titles of the holes by kind.
    """
    import matplotlib.pyplot as plt

    fills = [*run.study["rows"]]
    across = min(len(kinds), ACROSS)
    down = -(-len(kinds) // across)
    size = ((1.0 + 0.62 * len(fills)) * across, 3.9 * down)
    figure, axes = plt.subplots(
        down, across, figsize=size, layout="constrained", sharey=True, squeeze=False
    )
    for axis in axes.flat[len(kinds) :]:
        axis.remove()
    for axis, (kind, title) in zip(axes.flat, kinds.items(), strict=False):
        samples = [run.values(f"probability {kind}", fill) for fill in fills]
        samples = [values[np.isfinite(values)] for values in samples]
        drawn = axis.boxplot(
            samples,
            widths=0.6,
            patch_artist=True,
            medianprops={"color": "black", "lw": 1.5},
            flierprops={"marker": ".", "markersize": 2, "markeredgecolor": "0.6"},
        )
        for box, fill in zip(drawn["boxes"], fills, strict=True):
            box.set(facecolor=_color(fills, fill), alpha=0.55)
        for at, values in enumerate(samples, start=1):
            if len(values):
                axis.text(at, 1.03, f"{np.median(values):.2f}", ha="center", fontsize=9)
        axis.set_xticks(range(1, len(samples) + 1), fills, rotation=30, ha="right")
        axis.set_title(title)
        axis.set_ylim(-0.03, 1.1)
        axis.grid(axis="y", alpha=0.3)
    for line in axes:
        line[0].set_ylabel("p(class) after infill")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def curves(path: Path, run: StoredRun) -> None:
    """Means by the share of kept pixels, with 95% bands."""
    import matplotlib.pyplot as plt

    fills = [*run.study["rows"]]
    panels = {
        "probability": "p(class) after infill",
        "absolute": "mean absolute error on dropped pixels",
        "distance": "feature distance to the picture",
        "copied": "share of copies of a nearest kept pixel",
    }
    panels = {field: title for field, title in panels.items() if field in run.study["curves"]}
    size = (4.2 * len(panels), 3.9)
    figure, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained")
    for axis, (field, title) in zip(axes, panels.items(), strict=True):
        rates = run.study["curves"][field]["x"]
        for fill in fills:
            if fill == TRUTH and field in ("absolute", "distance"):
                continue
            mean, low, high = np.array(means(run.curve(field, fill))).T
            color = _color(fills, fill)
            # A heuristic's other constants share its colour.
            other = kind_of(fill) in HEURISTICS and ":" in fill
            line = ":" if fill == TRUTH else "--" if other else "-"
            axis.plot(rates, mean, line, marker=".", color=color, label=fill)
            axis.fill_between(rates, low, high, color=color, alpha=0.2, lw=0)
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("share of kept pixels, random")
        axis.set_xticks(rates)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _color(fills: Sequence[str], fill: str) -> str:
    """Cool colours for heuristics, one each; warm ones for what was learned; grey for the truth."""
    if fill == TRUTH:
        return "0.4"
    if fill in learned(fills):
        warm = ("tab:red", "tab:orange", "tab:brown", "tab:pink")
        return warm[learned(fills).index(fill) % 4]
    cool = ("tab:purple", "tab:blue", "tab:cyan", "tab:green", "tab:olive")
    return cool[HEURISTICS.index(kind_of(fill))]
