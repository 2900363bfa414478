"""What a training run of VarSal writes: pages of maps, and the model card at its end."""

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
from train.program import Job

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
RANKINGS = ("mean", "sampled", "random")


def show(path: Path, encoder: Encoder, test: Pictures, count: int = 12) -> None:
    """Write a page of the first pictures, their maps and their standard deviations.

    The map is shown by rank, since training fixes only the order; a standard deviation is relative
    to the picture's largest one.
    """
    images = jnp.asarray(test.images[:count], jnp.float32) / 255
    mean, deviation, _ = maps(encoder, images, jax.random.key(22))
    ranks = 1 - jax.vmap(rank)(mean) / mean[0].size
    relative = deviation / deviation.max(axis=(1, 2), keepdims=True)
    rows = [test.images[:count], *(np.asarray(row)[..., None] for row in (ranks, relative))]
    grid.write(path, rows, zoom=max(1, 96 // images.shape[1]))


@jax.jit
def maps(encoder: Encoder, images: jax.Array, key: jax.Array) -> tuple[jax.Array, ...]:
    """Return the mean, the standard deviation and one sample of each picture's map, "n h w"."""

    def one(key, image):
        # The encoder knows its classifier; this argument is not used.
        saliency, info = varsal(key, encoder, image, 0, encoder=encoder, samples=1)
        return saliency, info.standard_deviation, info.samples[0]

    return jax.vmap(one)(jax.random.split(key, len(images)), images)


@jax.jit
def _erased(
    encoder: Encoder, classifier: Classifier, images: jax.Array, key: jax.Array, shares: jax.Array
) -> jax.Array:
    """Return "rankings n shares": the divergence of each picture with its lowest pixels black."""
    mean, _, sampled = maps(encoder, images, key)
    random = jax.random.uniform(jax.random.fold_in(key, 1), mean.shape)

    def divergence(image, saliency):
        # It draws nothing and takes all classes alike.
        asked = jax.random.key(0), classifier, image, 0
        return erasing(*asked, saliency, shares=shares, chunk=1).curve

    of_all = jax.vmap(jax.vmap(divergence), (None, 0))
    return of_all(images, jnp.stack([mean, sampled, random]))


def erased(
    encoder: Encoder,
    classifier: Classifier,
    test: Pictures,
    shares: Sequence[float],
    batch: int = 64,
) -> dict[str, np.ndarray]:
    """Return the mean KL of the class probabilities (nats) with shares of the pixels erased.

    Figure 5a of the paper: lower is better.

    Args:
        shares: shares of the pixels that become black, the lowest of the ranking first.
        batch: pictures per compiled call.

    Returns:
        One value per share, by the names in `RANKINGS`.
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
    """Return a Markdown table of `erased` by ranking: the map, a sampled map and random order."""
    measured = erased(encoder, classifier, test, SHARES)
    lines = ["| order | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |"]
    lines += ["|---" * (len(SHARES) + 1) + "|"]
    for name, means in measured.items():
        lines.append(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    return lines


def write(job: Job, encoder: Encoder, classifier: Classifier, path: Path) -> None:
    """Write the card of the weights stored at `path`, beside them."""
    config, test, log = job.config, job.test, job.config.out / "metrics.csv"
    function: Any = encoder
    size = " x ".join(map(str, test.images.shape[1:]))
    lines = [
        f"{card.network(nnx.merge(*function.network.args), path)} It explains the classifier "
        f"`{config.classifier}` and no other.",
        f"Images in [0, 1], {size}, channels last; mean and log-variance of the map's pixels.",
        f"Prior {config.prior}; the weights are those of the epoch with the lowest mean loss.",
        "",
        "KL (nats) of the class probabilities when that share of the pixels is black, the lowest "
        f"of the map first, {config.split} split, {len(test.labels):,} pictures, as stored:",
        "",
        *table(encoder, classifier, test),
        "",
        *card.provenance(config, job.command, card.steps(log) // job.steps_per_epoch, log),
    ]
    card.write(path.with_suffix(".md"), path.stem, lines)
