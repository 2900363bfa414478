"""The model card at the end of an autoencoder's training."""

from pathlib import Path
from typing import Any

from flax import nnx

from train import card, recovery
from train.program import Job


def write(job: Job, infill: Any, path: Path) -> None:
    """Write the card of the weights stored at `path`, beside them."""
    config, test = job.config, job.test
    log = config.out / "metrics.csv"
    epochs = card.steps(log) // job.steps_per_epoch
    size = " x ".join(map(str, test.images.shape[1:]))
    lines = [
        card.network(nnx.merge(*infill.network.args), path),
        f"Images in [0, 1], {size}, channels last; masks 1 = keep.",
        "",
        *recovery.measured(infill, test, config.name, config.split),
        "",
        *card.provenance(config, job.command, epochs, log),
    ]
    card.write(path.with_suffix(".md"), path.stem, lines)
