"""How well an infiller recovers pictures: its error in the holes, and the classifier's answer."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import infillers
from fidojax import networks
from fidojax.core import mix
from fidojax.types import Infiller
from infillers import holes
from train import grid
from train.pictures import Pictures

KINDS = ("pixels", "centre", "free_form")
"""The kinds of holes that every infiller is measured on."""

WORDS = {
    "pixels": "half of the pixels",
    "centre": "centred quarter",
    "free_form": "free form",
    "blobs": "blobs, a fifth kept",
    "spots": "small blobs, a tenth kept",
}
"""The kinds of holes in words: half of the pixels are dropped at random, a centred quarter, brush
strokes; all but blobs of 8 cells a side, all but blobs of 24 cells a side."""

BATCH = 64
"""Pictures per call; always the same number, so that `fill` compiles once."""


class Recovery(NamedTuple):
    """Means over pictures.

    Attributes:
        error: root mean square error over dropped pixels and colours, pixels in [0, 1].
        probability: that of the true class after infilling, NaN without a classifier.
    """

    error: float
    probability: float


@partial(jax.jit, static_argnums=(0, 1, 2))
def masks(kind: str, count: int, shape: tuple[int, int]) -> jax.Array:
    """Return masks "n h w", the same ones in every call."""
    keys = jax.random.split(jax.random.key(20), count)
    if kind == "pixels":
        return jax.vmap(lambda key: holes.random_pixels(key, shape))(keys)
    if kind == "free_form":
        return jax.vmap(lambda key: holes.free_form(key, shape))(keys)
    if kind == "blobs":
        return jax.vmap(lambda key: holes.blobs(key, shape, 0.2, 8.0))(keys)
    if kind == "spots":
        return jax.vmap(lambda key: holes.blobs(key, shape, 0.1, 24.0))(keys)
    return jnp.broadcast_to(holes.centred(shape), (count, *shape))


@jax.jit
def fill(infill: Infiller, images: jax.Array, hole: jax.Array) -> jax.Array:
    """Infill the dropped pixels of pictures "n h w c"."""
    keys = jax.random.split(jax.random.key(21), len(images))
    return jax.vmap(mix)(images, hole, jax.vmap(infill)(keys, images, hole))


def measure(infill: Infiller, test: Pictures, kind: str, classifier: Any = None) -> Recovery:
    """Measure the recovery of all pictures from one kind of hole, in batches of one shape."""
    squares, dropped, read = 0.0, 0.0, []
    hole_of_all = masks(kind, len(test.images), test.images.shape[1:3])
    for first in range(0, len(test.images), BATCH):
        rows = np.arange(first, first + BATCH) % len(test.images)
        count = min(BATCH, len(test.images) - first)
        images = jnp.asarray(test.images[rows], jnp.float32) / 255
        filled = fill(infill, images, hole_of_all[rows])
        squares += float(jnp.sum((filled - images)[:count] ** 2))
        dropped += float(jnp.sum(1.0 - hole_of_all[rows][:count])) * images.shape[-1]
        if classifier is not None:
            logits = _logits(classifier, filled)[:count]
            share = jax.nn.softmax(logits)[np.arange(count), test.labels[rows[:count]]]
            read.append(np.asarray(share))
    probability = float(np.concatenate(read).mean()) if read else float("nan")
    return Recovery((squares / dropped) ** 0.5, probability)


_logits = jax.jit(lambda classifier, images: classifier(images))


def as_seen(test: Pictures, judge: networks.Pretrained) -> Pictures:
    """Return the pictures with the classes that a classifier of other classes sees in them."""
    parts = np.array_split(test.images, -(-len(test.images) // BATCH))
    seen = [_logits(judge.classifier, jnp.asarray(part, jnp.float32) / 255) for part in parts]
    labels = np.concatenate([np.argmax(each, axis=1) for each in seen]).astype(np.int32)
    return Pictures(test.images, labels, tuple(judge.labels))


def show(
    path: Path,
    infill: Infiller,
    test: Pictures,
    kinds: Sequence[str] = KINDS,
    count: int = 12,
) -> None:
    """Write a page of the first pictures, and for each kind of hole the rest and the infill."""
    some = np.arange(BATCH) % len(test.images)
    images = jnp.asarray(test.images[some], jnp.float32) / 255
    rows = [images]
    for kind in kinds:
        hole = masks(kind, len(images), images.shape[1:3])
        rows += [images * hole[..., None], fill(infill, images, hole)]
    zoom = max(1, 96 // images.shape[1])
    grid.write(path, [np.asarray(row[:count]) for row in rows], zoom)


def measured(infill: Infiller, test: Pictures, name: str, split: str) -> list[str]:
    """Return the lines of a model card on the recovery: a sentence and `table`."""
    known = name in networks.SHIPPED
    read = " and mean probability of the true class by the shipped classifier" if known else ""
    return [
        f"Root mean square error in the holes (pixels in [0, 1]){read}, "
        f"{split} split, {len(test.labels):,} pictures, as stored:",
        "",
        *table(infill, test, networks.load(name).classifier if known else None),
    ]


def table(
    infill: Infiller, test: Pictures, classifier: Any, kinds: Sequence[str] = KINDS
) -> list[str]:
    """Return a Markdown table of the infiller and those that are not learned."""
    grey = test.images.shape[-1] == 1
    rivals = {
        "this": infill,
        "mean": infillers.mean(0.0 if grey else None),
        "blur": infillers.blur(),
        "local": infillers.local(color=0.0 if grey else None),
    }
    heads = [WORDS[kind] for kind in kinds]
    lines = ["| infill | " + " | ".join(heads) + " |", "|---" * (1 + len(kinds)) + "|"]
    whole = partial(measure, test=test, classifier=classifier)
    for rival, function in rivals.items():
        cells = [whole(function, kind=kind) for kind in kinds]
        lines.append(f"| {rival} | " + " | ".join(map(_cell, cells)) + " |")
    return lines


def _cell(found: Recovery) -> str:
    read = "" if np.isnan(found.probability) else f", {found.probability:.3f}"
    return f"{found.error:.4f}{read}"
