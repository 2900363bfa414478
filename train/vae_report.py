"""What a training run of an autoencoder shows: a grid of infills, and the model card at its end."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from fidojax.types import Infiller
from train import card, grid, recovery
from train.pictures import Pictures


def show(path: Path, infill: Infiller, test: Pictures, count: int = 12) -> None:
    """The first pictures; then for each kind of hole what is seen, and the picture infilled."""
    some = np.arange(recovery.BATCH) % len(test.images)
    images = jnp.asarray(test.images[some], jnp.float32) / 255
    rows = [images]
    for kind in recovery.KINDS:
        hole = recovery.masks(kind, len(images), images.shape[1:3])
        rows += [images * hole[..., None], recovery.fill(infill, images, hole)]
    zoom = max(1, 96 // images.shape[1])
    grid.write(path, [np.asarray(row[:count]) for row in rows], zoom)


def write(
    config: Any, infill: Any, path: Path, test: Pictures, command: str, per_epoch: int
) -> None:
    """The card of the weights that are stored at `path`, beside them."""
    with (config.out / "metrics.csv").open(newline="") as file:
        epochs = int([row["step"] for row in csv.DictReader(file)][-1]) // per_epoch
    graph, params = infill.network.args
    network = nnx.merge(graph, params)
    size = " x ".join(map(str, test.images.shape[1:]))
    lines = [
        f"{type(network).__name__}, {card.weights(network):,} weights, "
        f"{path.stat().st_size / 1024:,.0f} KiB as float16.",
        f"Images in [0, 1], {size}, channels last; masks 1 = keep.",
        "",
        f"Root mean square error in the holes (pixels in [0, 1]){_read(config.name)}, "
        f"{config.split} split, {len(test.labels):,} pictures, as stored:",
        "",
        *recovery.table(infill, test, config.name),
        "",
        *card.made(dataclasses.replace(config, epochs=epochs), command, config.name),
    ]
    card.write(path.with_suffix(".md"), path.stem, lines)


def _read(name: str) -> str:
    known = name in recovery.pretrained.SHIPPED
    return " and mean probability of the true class by the shipped classifier" if known else ""
