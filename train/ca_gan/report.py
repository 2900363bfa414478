"""The model card at the end of the contextual attention GAN's training."""

import dataclasses
from pathlib import Path
from typing import Any

from flax import nnx

from fidojax.types import Infiller
from train import card, recovery
from train.program import Job


def write(job: Job, infill: Infiller, path: Path) -> None:
    """Write the card of the weights stored at `path`, beside them."""
    config, log = job.config, job.config.out / "metrics.csv"
    steps = card.steps(log)
    alone = min(steps, config.adversarial_from)
    function: Any = infill
    lines = [
        card.network(nnx.merge(*function.network.args), path),
        f"Images in [0, 1], {config.side} x {config.side} x 3, channels last; masks 1 = keep.",
        "",
        *recovery.measured(infill, job.test, config.name, config.split),
        "",
        *card.provenance(config, job.command, card.epochs(job, steps), log),
        f"* {steps:,} steps: {alone:,} with reconstruction losses alone, then {steps - alone:,} "
        f"with the critics, which take {config.critic_steps} steps before each.",
        f"* Settings that differ from the paper's: {departures(config)}.",
    ]
    card.write(path.with_suffix(".md"), path.stem, lines)


NOT_THE_PAPERS = (
    *("name", "out", "data_dir", "split", "validate", "seed", "devices", "export", "save_every"),
    "steps",
)
"""Settings that the paper does not give, and the number of steps."""


def departures(config: Any) -> str:
    """List the settings that differ from the defaults, which are the paper's."""
    fields = [field for field in dataclasses.fields(config) if field.name not in NOT_THE_PAPERS]
    found = [
        f"{field.name} {_words(getattr(config, field.name))} ({_words(field.default)})"
        for field in fields
        if getattr(config, field.name) != field.default
    ]
    return ", ".join(found).replace("_", " ") or "none"


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
