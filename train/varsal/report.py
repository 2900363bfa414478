"""What a training run of VarSal shows: a grid of maps, and the model card at its end."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fidojax.core import rank
from fidojax.methods import varsal
from fidojax.metrics import erasing
from fidojax.types import Classifier, Encoder
from train import card, grid
from train.pictures import Pictures

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
RANKINGS = ("mean", "sampled", "random")


def show(path: Path, encoder: Encoder, test: Pictures, count: int = 12) -> None:
    """The first pictures; below each its map and its standard deviation, each from 0 to its most.

    The map is shown by rank, since only the order was trained.
    """
    images = jnp.asarray(test.images[:count], jnp.float32) / 255
    mean, deviation, _ = maps(encoder, images, jax.random.key(22))
    places = 1 - jax.vmap(rank)(mean) / mean[0].size
    spread = deviation / deviation.max(axis=(1, 2), keepdims=True)
    rows = [test.images[:count], *(np.asarray(row)[..., None] for row in (places, spread))]
    grid.write(path, rows, zoom=max(1, 96 // images.shape[1]))


@jax.jit
def maps(encoder: Encoder, images: jax.Array, key: jax.Array) -> tuple[jax.Array, ...]:
    """The mean, the standard deviation, and one sample of each picture's map, "n h w"."""

    def one(key, image):
        # The encoder knows its classifier; none is asked here.
        saliency, info = varsal(key, encoder, image, 0, encoder=encoder, samples=1)
        return saliency, info.standard_deviation, info.samples[0]

    return jax.vmap(one)(jax.random.split(key, len(images)), images)


@jax.jit
def _erased(
    encoder: Encoder, classifier: Classifier, images: jax.Array, key: jax.Array, shares: jax.Array
) -> jax.Array:
    """ "rankings n shares": the divergence of each picture when its lowest pixels are black."""
    mean, _, sampled = maps(encoder, images, key)
    random = jax.random.uniform(jax.random.fold_in(key, 1), mean.shape)

    def divergence(image, saliency):
        return erasing(classifier, image, saliency, shares=shares, chunk=1).curve

    of_all = jax.vmap(jax.vmap(divergence), (None, 0))
    return of_all(images, jnp.stack([mean, sampled, random]))


def erased(
    encoder: Encoder,
    classifier: Classifier,
    test: Pictures,
    shares: Sequence[float],
    batch: int = 64,
) -> dict[str, np.ndarray]:
    """Mean KL of the class probabilities, in nats, without each share of pixels, by ranking.

    Figure 5a of the paper: lower is better.
    """
    found = []
    for first in range(0, len(test.images), batch):
        rows = np.minimum(np.arange(first, first + batch), len(test.images) - 1)
        images = jnp.asarray(test.images[rows], jnp.float32) / 255
        key = jax.random.fold_in(jax.random.key(23), first)
        lost = _erased(encoder, classifier, images, key, jnp.asarray(shares))
        found.append(np.asarray(lost)[:, : len(test.images) - first])
    means = np.concatenate(found, axis=1).mean(axis=1)
    return dict(zip(RANKINGS, means, strict=True))


def table(encoder: Encoder, classifier: Classifier, test: Pictures) -> list[str]:
    """A Markdown table for the model card: the map's order beside a sampled and a random one."""
    measured = erased(encoder, classifier, test, SHARES)
    lines = ["| order | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |"]
    lines += ["|---" * (len(SHARES) + 1) + "|"]
    for name, means in measured.items():
        lines.append(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    return lines


def write(
    config: Any,
    encoder: Encoder,
    classifier: Classifier,
    path: Path,
    test: Pictures,
    command: str,
    per_epoch: int,
) -> None:
    """The card of the weights that are stored at `path`, beside them."""
    epochs = card.steps(config.out / "metrics.csv") // per_epoch
    function: Any = encoder
    size = " x ".join(map(str, test.images.shape[1:]))
    lines = [
        f"{card.network(nnx.merge(*function.network.args), path)} It explains the classifier "
        f"`{config.classifier}` and no other.",
        f"Images in [0, 1], {size}, channels last; mean and log-variance of the map's pixels.",
        f"Prior {config.prior}; lowest mean loss of an epoch, as kept.",
        "",
        "KL (nats) of the class probabilities when that share of pixels is black, the lowest of "
        f"the map first, {config.split} split, {len(test.labels):,} pictures, as stored:",
        "",
        *table(encoder, classifier, test),
        "",
        *card.made(dataclasses.replace(config, epochs=epochs), command, config.name),
    ]
    card.write(path.with_suffix(".md"), path.stem, lines)
