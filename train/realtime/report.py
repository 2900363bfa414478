"""What a training run of Realtime writes: pages of masks, and the model card at its end."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fidojax.core import probability
from fidojax.methods import perturbed, realtime
from fidojax.types import Classifier, Masker
from train import card, grid
from train.pictures import Pictures
from train.program import Job

BATCH = 64
COLUMNS = ("covered", "kept", "rest", "exists")


@partial(jax.jit, static_argnames="confidence")
def maps(
    masker: Masker, classifier: Classifier, images: Any, targets: Any, confidence: float
) -> tuple[jax.Array, jax.Array]:
    """Return the masks "n h w" for a class of each picture, and the probability of each class."""

    def one(image, target):
        key = jax.random.key(0)  # the method draws nothing
        found = realtime(key, classifier, image, target, masker=masker, confidence=confidence)
        return found.saliency, found.info.exists

    return jax.vmap(one)(images, targets)


def show(
    path: Path,
    masker: Masker,
    classifier: Classifier,
    test: Pictures,
    confidence: float,
    count: int = 12,
) -> None:
    """Write a page of the first pictures: masks, kept pixels, the rest, another class's masks."""
    images = jnp.asarray(test.images[:count], jnp.float32) / 255
    labels = jnp.asarray(test.labels[:count])
    own, _ = maps(masker, classifier, images, labels, confidence)
    another, _ = maps(masker, classifier, images, _another(labels, test), confidence)
    own, another = (np.asarray(each)[..., None] for each in (own, another))
    seen = np.asarray(images)
    grey = np.full_like(seen, 0.5)
    rows = [seen, own, own * seen + (1 - own) * grey, (1 - own) * seen + own * grey, another]
    grid.write(path, rows, zoom=max(1, 96 // images.shape[1]))


def _another(labels: Any, test: Pictures) -> Any:
    return (labels + len(test.names) // 2) % len(test.names)


@partial(jax.jit, static_argnames=("sigma", "confidence"))
def _measured(masker, classifier, images, labels, targets, key, sigma, confidence) -> jax.Array:
    """Return "columns n", by the names in `COLUMNS`."""
    masks, there = maps(masker, classifier, images, targets, confidence)

    def seen(key, masks):
        keys = jax.random.split(key, len(images))
        pictures = jax.vmap(partial(perturbed, sigma=sigma))(keys, images, masks)
        return jax.vmap(probability)(classifier(pictures), labels)

    kept_key, rest_key = jax.random.split(key)
    kept, rest = seen(kept_key, masks), seen(rest_key, 1 - masks)
    return jnp.stack([masks.mean((1, 2)), kept, rest, there])


def measured(
    masker: Masker,
    classifier: Classifier,
    test: Pictures,
    confidence: float,
    sigma: float,
    *,
    own: bool = True,
) -> dict[str, float]:
    """Return means over pictures by the names in `COLUMNS`.

    Those are the mask's area, the probability of the picture's class on the kept pixels and on the
    rest (the others are blurred or of one colour, as in training), and the probability that the
    requested class exists.

    Args:
        confidence: the masker's second argument.
        sigma: standard deviation of the blur in pixels.
        own: whether the masks are those of the pictures' own classes, or of other ones.
    """
    found = []
    for first in range(0, len(test.images), BATCH):
        rows = np.minimum(np.arange(first, first + BATCH), len(test.images) - 1)
        images = jnp.asarray(test.images[rows], jnp.float32) / 255
        labels = jnp.asarray(test.labels[rows])
        targets = labels if own else _another(labels, test)
        key = jax.random.fold_in(jax.random.key(24), first)
        part = _measured(masker, classifier, images, labels, targets, key, sigma, confidence)
        found.append(np.asarray(part)[:, : len(test.images) - first])
    means = np.concatenate(found, axis=1).mean(axis=1)
    return {name: float(mean) for name, mean in zip(COLUMNS, means, strict=True)}


def table(masker: Masker, classifier: Classifier, test: Pictures, sigma: float) -> list[str]:
    """Return a Markdown table of `measured` for own and other classes and two confidences."""
    heads = ("mask of", "confidence", "area", "class by what is kept", "by the rest", "exists")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for own, name in ((True, "the picture's class"), (False, "another class")):
        for confidence in (0.0, 6.0):
            row = measured(masker, classifier, test, confidence, sigma, own=own)
            cells = [f"{value:.3f}" for value in row.values()]
            lines.append(f"| {name} | {confidence:.0f} | {' | '.join(cells)} |")
    return lines


def write(job: Job, masker: Masker, classifier: Classifier, path: Path) -> None:
    """Write the card of the weights stored at `path`, beside them."""
    config, test = job.config, job.test
    selector, decoder = (config.out / phase / "metrics.csv" for phase in ("selector", "decoder"))
    epochs = card.epochs(job, card.steps(decoder))
    function: Any = masker
    size = " x ".join(map(str, test.images.shape[1:]))
    lines = [
        f"{card.network(nnx.merge(*function.args), path)} It reads the features of the classifier "
        f"`{config.classifier}` and of no other.",
        f"Images in [0, 1], {size}, channels last; a mask in [0, 1], 1 = keep, for any of the "
        "classes.",
        "",
        "Means over pictures: the mask's area, the probability of the picture's class on the kept "
        "pixels and on the rest (the others are blurred or of one random colour), and the "
        f"selector's probability that the requested class exists, {config.split} split, "
        f"{len(test.labels):,} pictures, as stored:",
        "",
        *table(masker, classifier, test, config.sigma),
        "",
        *card.provenance(config, job.command, epochs, decoder),
        f"* Before that {card.steps(selector):,} steps of the selector alone, batch "
        f"{config.selector_batch}, {card.wall_time(selector) / 60:.0f} minutes.",
    ]
    card.write(path.with_suffix(".md"), path.stem, lines)
