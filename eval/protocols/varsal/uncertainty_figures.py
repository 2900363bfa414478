"""The figures of VarSal's uncertainty."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from eval.intervals import correlation
from eval.protocols.varsal.uncertainty_report import CLEAN, Names, shared_maps, shift
from eval.protocols.varsal.uncertainty_worth import rank_errors
from eval.report.reading import StoredRun
from fidojax.runs import read_maps, unpack

Shifted = Callable[[str, int, np.ndarray], np.ndarray]
"""`shifted(corruption, severity, rows)`: pictures of the run under a condition."""
SHOWN = 5
"""Pictures in the figure of shifted ones."""
TITLES = {"brightness": "brightness", "motion_blur": "motion blur"}


def draw(run: StoredRun, folder: Path, *, names: Names, shifted: Shifted) -> None:
    """Draw severity.png, worth.png and shifted.png (Figure 7) into a folder."""
    severities(folder / "severity.png", shift(run, names))
    relative, erased = (run.values(number, names.clean) for number in ("relative", "erased"))
    shared = shared_maps(run, names)
    apart = rank_errors(shared.mean, shared.fido)["apart"]
    panels = {
        "distance to FIDO, 1 - Spearman": (relative[: len(apart)], apart),
        "KL without the lowest half, nats": (relative, erased),
    }
    scatters(folder / "worth.png", panels)
    figure_7(folder / "shifted.png", run, names, shifted)


def severities(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Means over pictures by severity, with 95% intervals; severity 0 is clean."""
    import matplotlib.pyplot as plt

    panels = {
        "deviation": "mean standard deviation",
        "relative": "the same in units of the mean map's spread",
        "erased": "KL without the lowest half, nats",
        "accuracy": "accuracy of the classifier",
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(15, 3.6), layout="constrained")
    for axis, (name, title) in zip(axes, panels.items(), strict=True):
        for place, (corruption, label) in enumerate(TITLES.items()):
            own = [row for row in rows if row["corruption"] in ("clean", corruption)]
            value, low, high = np.array([row[name] for row in own]).T
            axis.errorbar(
                [row["severity"] + 0.05 * place for row in own], value,
                np.maximum([value - low, high - value], 0),
                marker="o", ms=4, capsize=3, color=f"C{place}", label=label,
            )  # fmt: skip
        axis.set(title=title, xlabel="severity")
        axis.title.set_fontsize(10)
        axis.grid(axis="y", alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def scatters(path: Path, panels: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """The uncertainty of each picture against an error of its map, by the error's title."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.2 * len(panels), 4), layout="constrained", squeeze=False
    )
    for axis, (title, (uncertainty, error)) in zip(axes[0], panels.items(), strict=True):
        size = 22 if len(error) < 200 else 5
        axis.scatter(uncertainty, error, s=size, alpha=0.5, lw=0)
        found = correlation(uncertainty, error)
        axis.set_title(f"{len(error)} pictures, Spearman {found.text(2)}", fontsize=10)
        axis.set(xlabel="mean standard deviation / spread of the mean map", ylabel=title)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def figure_7(path: Path, run: StoredRun, names: Names, shifted: Shifted) -> None:
    """The first pictures clean and at severity 5, each with its mean and deviation.

    Means are drawn by rank; the deviations of a picture have one scale, printed at its row's end.
    """
    import matplotlib.pyplot as plt

    rows = np.arange(min(SHOWN, len(run)))
    kinds = {CLEAN: "clean"} | {(name, 5): f"{title} 5" for name, title in TITLES.items()}
    seen = {}
    for condition, title in kinds.items():
        ledger = run.explained[names.conditions[condition]]
        deviations = unpack(ledger.read("deviation", rows), ledger.read("deviation_scale", rows))
        seen[title] = shifted(*condition, rows), read_maps(ledger, rows), deviations
    figure, axes = plt.subplots(
        len(rows), 3 * len(kinds), figsize=(12.2, 1.3 * len(rows) + 0.5), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    labels = [run.pictures.provenance["label_names"][i] for i in run.pictures.read("labels", rows)]
    for row in rows.tolist():
        spreads = np.stack([deviations[row] for _, _, deviations in seen.values()])
        low, high = np.percentile(spreads, (1, 99))
        for column, (title, (pictures, means, _)) in enumerate(seen.items()):
            picture, mean, deviation = axes[row, 3 * column : 3 * column + 3]
            picture.imshow(np.clip(pictures[row].squeeze(), 0, 1), "gray")
            mean.imshow(rankdata(means[row]).reshape(means[row].shape), "plasma")
            drawn = deviation.imshow(spreads[column], "viridis", vmin=low, vmax=high)
            if row == 0:
                picture.set_title(title, fontsize=10, loc="left")
                mean.set_title("mean, by rank", fontsize=8)
                deviation.set_title("deviation", fontsize=8)
        figure.colorbar(drawn, ax=axes[row], aspect=10, pad=0.005).ax.tick_params(labelsize=7)
        axes[row, 0].set_ylabel(labels[row][:18], fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
