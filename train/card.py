"""The model card, NAME.md beside NAME.npz: what all of them say of how the weights were made."""

import csv
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from fidojax.engine import cores
from fidojax.runs import write_text

DATA = {
    "mnist": (
        "MNIST 3.0.1 (TFDS): 60,000 training and 10,000 test digits, by LeCun, Cortes and Burges"
    ),
    "tiny_imagenet40": (
        "40 classes of Tiny ImageNet, 64 x 64 pixels: 19,900 training and 989 validation pictures. "
        "Tiny ImageNet is derived from ImageNet, whose terms allow non-commercial research and "
        "education only; no picture is part of the weights or of this package"
    ),
    "smoke": "synthetic pictures",
}
"""By the data set's name."""


def write(path: Path, title: str, lines: Sequence[str]) -> None:
    """Writes a Markdown file of a title and lines; it appears at once or not at all."""
    write_text(path, "\n".join([f"# {title}", "", *lines]) + "\n")


def made(config: Any, command: str, data: str) -> list[str]:
    """How the weights came to be, as items of a list.

    Args:
        config: has `seed`, `epochs`, `batch`, and `out`, the folder of metrics.csv.
        command: as it was given; the card is told no folders.
        data: a key of `DATA`, or words that say what the pictures are.
    """
    return [
        f"* Command: `{without_places(command)}`",
        f"* Seed {config.seed}, {config.epochs} epochs, batch {config.batch}; "
        f"wall time {wall(config.out / 'metrics.csv') / 60:.0f} minutes on {hardware()}.",
        f"* Data: {DATA.get(data, data)}.",
        "* Weights: trained from scratch by this project's own program, under this project's",
        "  licence; check the terms of the data before commercial use.",
        "* Versions: " + ", ".join(f"{n} {version(n)}" for n in ("jax", "flax", "optax")) + ".",
    ]


def network(model: nnx.Module, path: Path) -> str:
    """What the file at `path` holds: the network's class, its weights, its size."""
    return (
        f"{type(model).__name__}, {weights(model):,} weights, "
        f"{path.stat().st_size / 1024:,.0f} KiB as float16."
    )


def steps(path: Path) -> int:
    """The last step in a metrics.csv."""
    with path.open(newline="") as file:
        return int([row["step"] for row in csv.DictReader(file)][-1])


def weights(model: nnx.Module) -> int:
    """Number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def wall(path: Path) -> float:
    """Seconds over all parts of a run: the clock in metrics.csv starts anew when it is resumed."""
    with path.open(newline="") as file:
        clock = [float(row["seconds"]) for row in csv.DictReader(file)]
    steps = zip([0.0, *clock], clock, strict=False)
    return sum(now - before if now >= before else now for before, now in steps)


def hardware() -> str:
    """In general words."""
    kinds = {device.device_kind for device in jax.local_devices()}
    if kinds != {"cpu"}:
        return ", ".join(sorted(kinds))
    count = cores()
    return f"{count} CPU core{'s' if count != 1 else ''}"


def without_places(command: str) -> str:
    """The command without this machine's folders."""
    words = shlex.split(command)
    for flag, place in (("--data-dir", "D"), ("--out", "DIR")):
        if flag in words[:-1]:
            words[words.index(flag) + 1] = place
    return shlex.join(words)
