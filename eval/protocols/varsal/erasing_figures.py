"""The figures of a varsal-erasing run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from eval.intervals import means
from eval.protocols.varsal.erasing_report import OURS, behind
from eval.report import Panel, panels
from eval.report.reading import StoredRun
from eval.subject import Subject
from fidojax import explain_batch
from fidojax.core import mix, rank
from fidojax.methods import varsal
from fidojax.metrics import ERASED
from fidojax.types import Encoder, Explanation, Image

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
SHOWN = 8
"""Pictures in a gallery, the first ones."""
DRAWN = 3
"""Sampled maps of each picture in Figure 6."""


def draw(
    run: StoredRun,
    folder: Path,
    *,
    of: Subject,
    encoders: Mapping[str, Encoder],
    erased: str,
    seed: int,
) -> None:
    """Draw curves.png (Figure 5a), priors.png (Figure 3) and samples.png (Figure 6) into a folder.

    Args:
        of: the classifier and the pictures of the run.
        encoders: by the name of their row.
        erased: a name in `ERASED`.
        seed: of the sampled maps.
    """
    curves(folder / "curves.png", run)
    few = of.drawn.rows(np.arange(min(SHOWN, len(of.drawn.ids))))
    captions = [of.model.labels[target] for target in few.predictions]
    maps = {
        name: explain_batch(
            varsal, of.model.classifier, few.images, few.predictions, seed=seed, ids=few.ids,
            options={"encoder": encoder, "samples": DRAWN}, batch_size=len(few.ids),
        )
        for name, encoder in encoders.items()
    }  # fmt: skip
    priors(folder / "priors.png", few.images, captions, maps)
    samples(folder / "samples.png", few.images, captions, maps[OURS], ERASED[erased])


def curves(path: Path, run: StoredRun) -> None:
    """VarSal Figure 5a, and beside it each curve minus VarSal's on the same pictures."""
    import matplotlib.pyplot as plt

    found = {row: run.curve("kl", row) for row in STYLES if row in run.study["rows"]}
    intervals = {row: means(curve) for row, curve in found.items()}
    shares = np.asarray(run.study["curves"]["kl"]["x"])
    figure, axes = plt.subplots(1, 2, figsize=(13.5, 4.8), layout="constrained")
    titles = "KL(P(x) || P(x erased)), nats", f"the same minus that of {OURS}, same pictures"
    for axis, title, shown in zip(axes, titles, (intervals, behind(found)), strict=True):
        for row, points in shown.items():
            color, line = STYLES[row]
            value, low, high = np.array(points).T
            count = np.isfinite(found[row]).all(axis=1).sum()
            label = f"{row}, {count} pictures"
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
    """Return the map with its highest pixel at 1 and its lowest near 0."""
    return 1 - np.asarray(jax.jit(rank)(saliency)) / saliency.size
