"""The model card at the end of the contextual attention GAN's training."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flax import nnx

from fidojax.types import Infiller
from train import card
from train.pictures import Pictures
from train.vae import recovery


def write(
    config: Any, infill: Infiller, path: Path, test: Pictures, command: str, pictures: int
) -> None:
    """The card of the weights that are stored at `path`, beside them.

    Args:
        pictures: how many there were to train on.
    """
    steps = card.steps(config.out / "metrics.csv")
    drawn: Any = infill
    alone = min(steps, config.adversarial_from)
    said = SimpleNamespace(
        seed=config.seed,
        epochs=f"{steps * config.batch / pictures:.1f}",
        batch=config.batch,
        out=config.out,
    )
    lines = [
        card.network(nnx.merge(*drawn.network.args), path),
        f"Images in [0, 1], {config.side} x {config.side} x 3, channels last; masks 1 = keep.",
        "",
        *recovery.measured(infill, test, config.name, config.split),
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
