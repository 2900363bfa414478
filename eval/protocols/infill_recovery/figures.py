"""The figures of an infill-recovery run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.intervals import means
from eval.protocols.infill_recovery.report import HEURISTICS, TRUTH, Holes, kind_of, learned
from eval.report.reading import StoredRun
from eval.study import StudyRow
from eval.subject import Subject
from fidojax import explain_batch

SHOWN = 8
"""Pictures in a gallery: the first that are classified right."""


def draw(
    run: StoredRun,
    folder: Path,
    *,
    of: Subject,
    rows: Mapping[str, StudyRow],
    holes: Mapping[str, Holes],
    panels: Sequence[str],
    seed: int,
) -> None:
    """Draw probability.png (Figure 16), rates.png and gallery_KIND.png (Figure 3) into a folder."""
    box_plots(folder / "probability.png", run, {kind: holes[kind].title for kind in panels})
    curves(folder / "rates.png", run)
    chosen = np.flatnonzero(of.drawn.right)[:SHOWN]
    if not len(chosen):
        return
    filled = {name: fill_again(of, row, chosen, seed) for name, row in rows.items()}
    for kind in panels:
        at = [*holes].index(kind)
        gallery(folder / f"gallery_{kind}.png", of, chosen, filled, at)


def fill_again(of: Subject, row: StudyRow, chosen: np.ndarray, seed: int) -> Any:
    """The `Recovery` of some pictures by a row, with their filled pictures; the draws are equal."""
    shown = of.drawn.rows(chosen)
    found = explain_batch(
        row.method, of.model.classifier, shown.images, shown.labels, options=row.options,
        seed=seed + row.seed, ids=shown.ids, batch_size=len(chosen),
    )  # fmt: skip
    return found.info


def box_plots(path: Path, run: StoredRun, kinds: Mapping[str, str]) -> None:
    """FIDO Figure 16: a panel per kind of holes, a box of the probability per infiller.

    Boxes are quartiles, whiskers 1.5 times their distance; the number is the median.

    Args:
        kinds: titles of the holes by kind.
    """
    import matplotlib.pyplot as plt

    fills, count = [*run.study["rows"]], len(kinds)
    width = 1.0 + 0.62 * len(fills)
    figure, axes = plt.subplots(
        1, count, figsize=(width * count, 3.9), layout="constrained", sharey=True, squeeze=False
    )
    for axis, (kind, title) in zip(axes[0], kinds.items(), strict=True):
        samples = [run.values(f"probability {kind}", fill) for fill in fills]
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
            axis.text(at, 1.03, f"{np.median(values):.2f}", ha="center", fontsize=9)
        axis.set_xticks(range(1, len(samples) + 1), fills, rotation=30, ha="right")
        axis.set_title(title)
        axis.set_ylim(-0.03, 1.1)
        axis.grid(axis="y", alpha=0.3)
    axes[0][0].set_ylabel("p(class) after infill")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def curves(path: Path, run: StoredRun) -> None:
    """Means by the share of kept pixels, with 95% bands."""
    import matplotlib.pyplot as plt

    fills = [*run.study["rows"]]
    panels = {
        "probability": "p(class) after infill",
        "absolute": "mean absolute error on dropped pixels",
        "copied": "share of copies of a nearest kept pixel",
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(12.5, 3.9), layout="constrained")
    for axis, (field, title) in zip(axes, panels.items(), strict=True):
        rates = run.study["curves"][field]["x"]
        for fill in fills:
            if fill == TRUTH and field == "absolute":
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


def gallery(
    path: Path, of: Subject, chosen: np.ndarray, filled: Mapping[str, Any], at: int
) -> None:
    """FIDO Figure 3: picture, holes, and what each infiller makes of them, p(class) above.

    Args:
        chosen: the pictures.
        filled: by infiller the `Recovery` of the chosen pictures, the truth's included.
        at: the kind of holes.
    """
    import matplotlib.pyplot as plt

    names = [name for name in filled if name != TRUTH]
    masks = filled[TRUTH].masks[:, at, ..., None] > 0
    figure, axes = plt.subplots(
        len(chosen),
        2 + len(names),
        figsize=(1.25 * (2 + len(names)) + 0.9, 1.45 * len(chosen) + 0.3),
        layout="constrained",
        squeeze=False,
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)  # type: ignore
    for row, (line, place) in enumerate(zip(axes, chosen, strict=True)):
        picture = of.drawn.images[place]
        shown = [picture, np.where(masks[row], picture, 1.0)]
        shown += [filled[name].images[row, at] for name in names]
        titles = [f"{filled[TRUTH].probability[row, at]:.2f}", ""]
        titles += [f"{filled[name].probability[row, at]:.2f}" for name in names]
        for column, (axis, content, title) in enumerate(zip(line, shown, titles, strict=True)):
            axis.imshow(np.clip(content.squeeze(), 0, 1), "gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            head = (("picture", "kept", *names)[column] + "\n") if row == 0 else ""
            axis.set_title(head + title, fontsize=9, pad=2)
        line[0].set_ylabel(
            of.model.labels[of.drawn.labels[place]].replace(" ", "\n", 1), fontsize=8
        )
    figure.savefig(path, dpi=100)
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
