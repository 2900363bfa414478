"""What a training run of the contextual attention GAN shows: grids of infills, the model card."""

import csv
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flax import nnx

from fidojax import pretrained
from fidojax.types import Infiller
from train import card, recovery
from train.pictures import Pictures
from train.vae_report import show

__all__ = ["show", "write"]


def write(
    config: Any, infill: Infiller, path: Path, test: Pictures, command: str, pictures: int
) -> None:
    """The card of the weights that are stored at `path`, beside them.

    Args:
        pictures: how many there were to train on.
    """
    with (config.out / "metrics.csv").open(newline="") as file:
        steps = int([row["step"] for row in csv.DictReader(file)][-1])
    drawn: Any = infill
    graph, params = drawn.network.args
    network = nnx.merge(graph, params)
    alone = min(steps, config.adversarial_from)
    known = config.name in pretrained.SHIPPED
    read = " and mean probability of the true class by the shipped classifier" if known else ""
    said = SimpleNamespace(
        seed=config.seed,
        epochs=f"{steps * config.batch / pictures:.1f}",
        batch=config.batch,
        out=config.out,
    )
    lines = [
        f"{type(network).__name__}, {card.weights(network):,} weights, "
        f"{path.stat().st_size / 1024:,.0f} KiB as float16.",
        f"Images in [0, 1], {config.side} x {config.side} x 3, channels last; masks 1 = keep.",
        "",
        f"Root mean square error in the holes (pixels in [0, 1]){read}, "
        f"{config.split} split, {len(test.labels):,} pictures, as stored:",
        "",
        *recovery.table(infill, test, config.name),
        "",
        *card.made(said, command, config.name),
        f"* {steps:,} steps: {alone:,} with reconstruction losses alone, then {steps - alone:,} "
        f"with the critics, {config.critic_steps} of their steps before each.",
        f"* Settings other than the paper's: {departures(config)}.",
    ]
    card.write(path.with_suffix(".md"), path.stem, lines)


NOT_THE_PAPERS = (
    *("name", "out", "data_dir", "split", "validate", "seed", "devices", "export", "save_every"),
    "steps",
)
"""Settings of which the paper has none, and how long."""


def departures(config: Any) -> str:
    """The settings that are not the defaults, which are the paper's, as a list in words."""
    fields = [field for field in dataclasses.fields(config) if field.name not in NOT_THE_PAPERS]
    found = [
        f"{field.name} {_words(getattr(config, field.name))} ({_words(field.default)})"
        for field in fields
        if getattr(config, field.name) != field.default
    ]
    return ", ".join(found).replace("_", " ") or "none"


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
