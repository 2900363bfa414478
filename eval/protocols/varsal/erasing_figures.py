"""What a varsal-erasing run measured, as figures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np

from eval.protocols.varsal.erasing_report import OURS, Results, Summary
from eval.report import Panel, panels
from fidojax.core import mix, rank
from fidojax.types import Explanation, Image

matplotlib.use("Agg")

STYLES = {
    "random": ("black", "--"),
    "center": ("0.5", "--"),
    "gradient": ("tab:blue", "-"),
    "input_x_gradient": ("tab:blue", ":"),
    "integrated_gradients": ("tab:cyan", "-"),
    "smoothgrad_squared": ("tab:purple", "-"),
    "pda": ("tab:olive", "-"),
    "fido": ("tab:green", "-"),
    "varsal": ("tab:red", "-"),
    "varsal sampled": ("tab:red", ":"),
    "standard": ("tab:orange", "-"),
    "standard sampled": ("tab:orange", ":"),
}
KEPT = 0.3
"""Share of the pixels that is left in the erased pictures of Figure 6."""


def curves(path: Path, results: Results, summary: Summary) -> None:
    """VarSal Figure 5a, and beside it each curve minus VarSal's on the same pictures."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(13.5, 4.8), layout="constrained")
    shares = 100 * np.asarray(results.shares)
    titles = "KL(P(x) || P(x erased)), nats", f"the same minus that of {OURS}, same pictures"
    for axis, title, intervals in zip(axes, titles, summary, strict=True):
        for name in STYLES:
            if name in intervals:
                color, line = STYLES[name]
                value, low, high = np.array(intervals[name]).T
                label = f"{name}, {len(results.measured[name]['curve'])} pictures"
                axis.plot(shares, value, line, marker=".", color=color, label=label)
                axis.fill_between(shares, low, high, color=color, alpha=0.15, lw=0)
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("% of the pixels erased, lowest first")
        axis.set_xticks(shares)
        axis.grid(alpha=0.3)
    axes[0].set_ylim(bottom=0)
    axes[1].axhline(0, color=STYLES[OURS][0], lw=1)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def priors(
    path: Path, images: np.ndarray, captions: Sequence[str], maps: Mapping[str, Explanation]
) -> None:
    """VarSal Figure 3: mean by rank and standard deviation of each encoder's posterior."""
    columns = []
    for i, caption in enumerate(captions):
        shown = {}
        for name, explanation in maps.items():
            shown[f"{name}, mean"] = by_rank(explanation.saliency[i])
            shown[f"{name}, deviation"] = explanation.info.standard_deviation[i]
        columns.append(Panel(images[i], caption, shown))
    panels(path, columns)


def samples(
    path: Path,
    images: np.ndarray,
    captions: Sequence[str],
    maps: Explanation,
    fill: Callable[[Image], Image],
) -> None:
    """VarSal Figure 6: the mean and maps drawn from the posterior, and what is left by each."""
    columns = []
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        drawn = {"mean": maps.saliency[i]}
        drawn |= {f"sample {n}": each for n, each in enumerate(maps.info.samples[i], 1)}
        shown = {name: by_rank(saliency) for name, saliency in drawn.items()}
        for name in ("mean", "sample 1"):
            kept = jnp.asarray(shown[name] > 1 - KEPT, jnp.float32)
            other = fill(jnp.asarray(image))
            shown[f"{name}, {KEPT:.0%} left"] = np.asarray(mix(jnp.asarray(image), kept, other))
        columns.append(Panel(image, caption, shown))
    panels(path, columns)


def by_rank(saliency: np.ndarray | jax.Array) -> np.ndarray:
    """The map with its highest pixel at 1 and its lowest near 0."""
    return 1 - np.asarray(jax.jit(rank)(saliency)) / saliency.size
