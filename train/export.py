"""The end of a training run: weights as float16, measured as stored, and a model card."""

import csv
import os
import shlex
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from fidojax import pretrained, stored
from fidojax.networks import MnistAllConv, ResNet, fold
from train.pictures import Pictures

DATA = {
    "mnist": (
        "MNIST 3.0.1 (TFDS): 60,000 training and 10,000 test digits, by LeCun, Cortes and Burges"
    ),
    "tiny_imagenet40": (
        "40 classes of Tiny ImageNet, 64 x 64 pixels: 19,900 training and 989 validation pictures. "
        "Tiny ImageNet is derived from ImageNet, whose terms allow non-commercial research and "
        "education only; no picture is part of the weights or of this package"
    ),
    "smoke": "synthetic pictures",
}


def write(config: Any, model: MnistAllConv | ResNet, test: Pictures, command: str) -> float:
    """Writes NAME.npz and NAME.md into `config.out`; returns the accuracy of the stored weights."""
    plain = fold(model) if isinstance(model, ResNet) else model
    path = config.out / f"{config.name}.npz"
    stored.save(path, plain)
    if config.name in pretrained.SHIPPED:
        classifier = pretrained.load(config.name, path).classifier
    else:
        classifier = stored.restore(path, lambda: plain)

    trained = np.mean(predict(jax.jit(_full(model)), test.images).argmax(-1) == test.labels)
    guess = predict(jax.jit(classifier), test.images).argmax(-1)
    accuracy = float(np.mean(guess == test.labels))
    size = " x ".join(map(str, test.images.shape[1:]))
    kib = path.stat().st_size / 1024
    rows = [
        f"# {config.name}",
        "",
        f"{type(model).__name__}, {weights(plain):,} weights, {kib:,.0f} KiB as float16.",
        f"Images in [0, 1], {size}, channels last; logits of {len(test.names)} classes.",
        "",
        f"* Accuracy (top-1, {config.split} split, {len(test.labels):,} pictures): {accuracy:.2%} "
        f"as stored (float16), {trained:.2%} before folding and rounding.",
        f"* Command: `{without_places(command)}`",
        f"* Seed {config.seed}, {config.epochs} epochs, batch {config.batch}; "
        f"wall time {wall(config.out / 'metrics.csv') / 60:.0f} minutes on {hardware()}.",
        f"* Data: {DATA.get(config.name, config.name)}.",
        "* Weights: trained from scratch by this project's own program, under this project's",
        "  licence; check the terms of the data before commercial use.",
        "* Versions: " + ", ".join(f"{n} {version(n)}" for n in ("jax", "flax", "optax")) + ".",
        "",
        "Most frequent confusions (class: read as, how often):",
        "",
        *(f"* {line}" for line in confusions(guess, test)),
    ]
    (config.out / f"{config.name}.md").write_text("\n".join(rows) + "\n")
    return accuracy


def predict(classifier: Callable, images: np.ndarray, batch: int = 128) -> np.ndarray:
    """Logits "n k" of uint8 pictures, in padded batches of one shape."""
    logits = []
    for first in range(0, len(images), batch):
        part = images[first : first + batch]
        padded = np.concatenate([part, np.repeat(part[-1:], batch - len(part), 0)])
        logits.append(np.asarray(classifier(padded.astype(np.float32) / 255))[: len(part)])
    return np.concatenate(logits)


def _full(model: nnx.Module):
    graph, state = nnx.split(model)
    return jax.tree_util.Partial(lambda state, images: nnx.merge(graph, state)(images), state)


def weights(model: nnx.Module) -> int:
    """Number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def confusions(guess: np.ndarray, test: Pictures, top: int = 10) -> list[str]:
    """The most frequent wrong answers, as sentences."""
    table = np.zeros((len(test.names),) * 2, int)
    np.add.at(table, (test.labels, guess), 1)
    total = table.sum(1)
    np.fill_diagonal(table, 0)
    pairs = np.stack(
        np.unravel_index(np.argsort(-table, axis=None, kind="stable")[:top], table.shape), 1
    )
    return [
        f"{test.names[a]}: {test.names[b]}, {table[a, b]} of {total[a]}"
        for a, b in pairs
        if table[a, b]
    ]


def wall(path: Path) -> float:
    """Seconds over all parts of a run: the clock in metrics.csv starts anew when it is resumed."""
    with path.open(newline="") as file:
        clock = [float(row["seconds"]) for row in csv.DictReader(file)]
    steps = zip([0.0, *clock], clock, strict=False)
    return sum(now - before if now >= before else now for before, now in steps)


def hardware() -> str:
    """In general words."""
    kinds = {device.device_kind for device in jax.local_devices()}
    return f"{os.cpu_count()} CPU cores" if kinds == {"cpu"} else ", ".join(sorted(kinds))


def without_places(command: str) -> str:
    """The command without this machine's folders."""
    words = shlex.split(command)
    for flag, place in (("--data-dir", "D"), ("--out", "DIR")):
        if flag in words[:-1]:
            words[words.index(flag) + 1] = place
    return shlex.join(words)
