"""The model card NAME.md beside NAME.npz: the parts that all programs' cards share."""

import csv
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from fidojax.data import write_text
from fidojax.engine import cores

DATA = {
    "mnist": (
        "MNIST 3.0.1 (TFDS): 60,000 training and 10,000 test digits, by LeCun, Cortes and Burges"
    ),
    "tiny_imagenet40": (
        "40 classes of Tiny ImageNet, 64 x 64 pixels: 19,900 training and 989 validation pictures. "
        "Tiny ImageNet is derived from ImageNet, whose terms allow non-commercial research and "
        "education only; no picture is part of the weights or of this package"
    ),
    "imagenette": (
        "12,894 training photos of 10 classes of ImageNet (tench, English springer, cassette "
        "player, chain saw, church, French horn, garbage truck, gas pump, golf ball, parachute), "
        "128 x 128 pixels. ImageNet's terms allow non-commercial research and education only; "
        "no photo is part of the weights or of this package"
    ),
    "smoke": "synthetic pictures",
}
"""Descriptions of the data sets by name."""


def write(path: Path, title: str, lines: Sequence[str]) -> None:
    """Write a Markdown file of a title and lines, whole or not at all."""
    write_text(path, "\n".join([f"# {title}", "", *lines]) + "\n")


def provenance(config: Any, command: str, epochs: int | str, log: Path) -> list[str]:
    """Return how the weights were made, as the items of a list.

    Args:
        config: the program's settings; a `name` that is no key of `DATA` is printed as it is.
        command: the command line, whose folders are left out of the card.
        epochs: the number of epochs done.
        log: the run's metrics.csv.
    """
    return [
        f"* Command: `{without_folders(command)}`",
        f"* Seed {config.seed}, {epochs} epochs, batch {config.batch}; "
        f"wall time {wall_time(log) / 60:.0f} minutes on {hardware()}.",
        f"* Data: {DATA.get(config.name, config.name)}.",
        "* Weights: trained from scratch by this project's own program, under this project's",
        "  licence; check the terms of the data before commercial use.",
        "* Versions: " + ", ".join(f"{n} {version(n)}" for n in ("jax", "flax", "optax")) + ".",
    ]


def network(model: nnx.Module, path: Path) -> str:
    """Return a sentence on the file at `path`: the network's class, its weights and its size."""
    return (
        f"{type(model).__name__}, {weights(model):,} weights, "
        f"{path.stat().st_size / 1024:,.0f} KiB as float16."
    )


def steps(path: Path) -> int:
    """Return the last step in a metrics.csv."""
    with path.open(newline="") as file:
        return int([row["step"] for row in csv.DictReader(file)][-1])


def epochs(job: Any, steps: int) -> str:
    """Return how often so many steps of a `train.program.Job` went through its pictures."""
    return f"{steps * job.config.batch / len(job.train.labels):.1f}"


def weights(model: nnx.Module) -> int:
    """Return the number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def wall_time(path: Path) -> float:
    """Return the seconds of all parts of a run; the clock in metrics.csv restarts on resuming."""
    with path.open(newline="") as file:
        clock = [float(row["seconds"]) for row in csv.DictReader(file)]
    steps = zip([0.0, *clock], clock, strict=False)
    return sum(now - before if now >= before else now for before, now in steps)


def hardware() -> str:
    """Describe the devices in general words."""
    kinds = {device.device_kind for device in jax.local_devices()}
    if kinds != {"cpu"}:
        return ", ".join(sorted(kinds))
    count = cores()
    return f"{count} CPU core{'s' if count != 1 else ''}"


def without_folders(command: str) -> str:
    """Replace the machine's folders in a command."""
    words = shlex.split(command)
    for flag, folder in (("--data-dir", "D"), ("--out", "DIR")):
        if flag in words[:-1]:
            words[words.index(flag) + 1] = folder
    return shlex.join(words)
