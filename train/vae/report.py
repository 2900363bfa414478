"""The model card at the end of an autoencoder's training."""

import dataclasses
from pathlib import Path
from typing import Any

from flax import nnx

from train import card
from train.pictures import Pictures
from train.vae import recovery


def write(
    config: Any, infill: Any, path: Path, test: Pictures, command: str, per_epoch: int
) -> None:
    """The card of the weights that are stored at `path`, beside them."""
    epochs = card.steps(config.out / "metrics.csv") // per_epoch
    size = " x ".join(map(str, test.images.shape[1:]))
    lines = [
        card.network(nnx.merge(*infill.network.args), path),
        f"Images in [0, 1], {size}, channels last; masks 1 = keep.",
        "",
        *recovery.measured(infill, test, config.name, config.split),
        "",
        *card.made(dataclasses.replace(config, epochs=epochs), command, config.name),
    ]
    card.write(path.with_suffix(".md"), path.stem, lines)
