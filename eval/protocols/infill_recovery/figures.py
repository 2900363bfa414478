"""What an infill-recovery run measured, as figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from eval.intervals import interval
from eval.protocols.infill_recovery.report import HEURISTICS, TRUTH, Results, kind_of

matplotlib.use("Agg")


def box_plots(path: Path, results: Results) -> None:
    """FIDO Figure 16: a panel per kind of holes, a box of the probability per infiller.

    Boxes are quartiles, whiskers 1.5 times their distance; the number is the median.
    """
    import matplotlib.pyplot as plt

    count = len(results.panels)
    width = 1.0 + 0.62 * len(results.fills)
    figure, axes = plt.subplots(
        1, count, figsize=(width * count, 3.9), layout="constrained", sharey=True, squeeze=False
    )
    for axis, kind in zip(axes[0], results.panels, strict=True):
        samples = [results.measured[kind, fill]["probability"] for fill in results.fills]
        drawn = axis.boxplot(
            samples,
            widths=0.6,
            patch_artist=True,
            medianprops={"color": "black", "lw": 1.5},
            flierprops={"marker": ".", "markersize": 2, "markeredgecolor": "0.6"},
        )
        for box, fill in zip(drawn["boxes"], results.fills, strict=True):
            box.set(facecolor=_color(results, fill), alpha=0.55)
        for at, values in enumerate(samples, start=1):
            axis.text(at, 1.03, f"{np.median(values):.2f}", ha="center", fontsize=9)
        axis.set_xticks(range(1, len(samples) + 1), results.fills, rotation=30, ha="right")
        axis.set_title(results.titles[kind])
        axis.set_ylim(-0.03, 1.1)
        axis.grid(axis="y", alpha=0.3)
    axes[0][0].set_ylabel("p(class) after infill")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def curves(path: Path, results: Results, kinds: Mapping[float, str]) -> None:
    """Means by the share of kept pixels, with 95% bands.

    Args:
        kinds: of holes, by that share.
    """
    import matplotlib.pyplot as plt

    panels = {
        "probability": "p(class) after infill",
        "absolute": "mean absolute error on dropped pixels",
        "copied": "share of copies of a nearest kept pixel",
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(12.5, 3.9), layout="constrained")
    for axis, (field, title) in zip(axes, panels.items(), strict=True):
        for fill in results.fills:
            if fill == TRUTH and field == "absolute":
                continue
            means = [interval(results.measured[kind, fill][field]) for kind in kinds.values()]
            mean, low, high = np.array(means).T
            color = _color(results, fill)
            # Of one colour are a heuristic's other constants.
            line = (
                ":"
                if fill == TRUTH
                else "--"
                if fill in results.heuristics and ":" in fill
                else "-"
            )
            axis.plot(list(kinds), mean, line, marker=".", color=color, label=fill)
            axis.fill_between(list(kinds), low, high, color=color, alpha=0.2, lw=0)
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("share of kept pixels, random")
        axis.set_xticks(list(kinds))
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def gallery(
    path: Path, results: Results, kind: str, images: np.ndarray, captions: Sequence[str]
) -> None:
    """FIDO Figure 3: picture, holes, and what each infiller makes of them, p(class) above.

    Args:
        images: "n h w c", the pictures that were drawn.
        captions: their classes.
    """
    import matplotlib.pyplot as plt

    fills = [fill for fill in results.fills if fill != TRUTH]
    masks = results.measured[kind, TRUTH]["drawn_mask"]
    if not len(images):
        return
    at = np.flatnonzero(results.right)[: len(images)]
    figure, axes = plt.subplots(
        len(images),
        2 + len(fills),
        figsize=(1.25 * (2 + len(fills)) + 0.9, 1.45 * len(images) + 0.3),
        layout="constrained",
        squeeze=False,
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)  # type: ignore
    for row, (line, picture, mask) in enumerate(zip(axes, images, masks, strict=True)):
        shown = [picture, np.where(mask[..., None], picture, 1.0)]
        shown += [results.measured[kind, fill]["drawn"][row] / 255 for fill in fills]
        truth = results.measured[kind, TRUTH]["probability"][at[row]]
        titles = [f"{truth:.2f}", ""]
        titles += [f"{results.measured[kind, f]['probability'][at[row]]:.2f}" for f in fills]
        for column, (axis, content, title) in enumerate(zip(line, shown, titles, strict=True)):
            axis.imshow(np.clip(content.squeeze(), 0, 1), "gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            head = (("picture", "kept", *fills)[column] + "\n") if row == 0 else ""
            axis.set_title(head + title, fontsize=9, pad=2)
        line[0].set_ylabel(captions[row].replace(" ", "\n", 1), fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _color(results: Results, fill: str) -> str:
    """Cool colours for heuristics, one each; warm ones for what was learned; grey for the truth."""
    if fill == TRUTH:
        return "0.4"
    if fill in results.learned:
        warm = ("tab:red", "tab:orange", "tab:brown", "tab:pink")
        return warm[results.learned.index(fill) % 4]
    cool = ("tab:purple", "tab:blue", "tab:cyan", "tab:green")
    return cool[HEURISTICS.index(kind_of(fill))]
