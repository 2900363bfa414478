"""The end of a classifier's training: float16 weights, their accuracy, and the model card."""

from collections.abc import Callable

import jax
import numpy as np
from flax import nnx

from fidojax import networks
from fidojax.engine import in_batches
from fidojax.networks import MnistAllConv, ResNet, fold, weight_files
from train import card
from train.pictures import Pictures
from train.program import Job


def write(job: Job, model: MnistAllConv | ResNet) -> None:
    """Write the weights NAME.npz and their card NAME.md into `config.out`."""
    config, test, log = job.config, job.test, job.config.out / "metrics.csv"
    plain = fold(model) if isinstance(model, ResNet) else model
    path = config.out / f"{config.name}.npz"
    weight_files.save(path, plain)
    if config.name in networks.SHIPPED:
        classifier = networks.load(config.name, path).classifier
    else:
        classifier = weight_files.restore(path, lambda: plain)

    trained = np.mean(predict(jax.jit(_full(model)), test.images).argmax(-1) == test.labels)
    guess = predict(jax.jit(classifier), test.images).argmax(-1)
    accuracy = float(np.mean(guess == test.labels))
    size = " x ".join(map(str, test.images.shape[1:]))
    rows = [
        card.network(plain, path),
        f"Images in [0, 1], {size}, channels last; logits of {len(test.names)} classes.",
        "",
        f"* Accuracy (top-1, {config.split} split, {len(test.labels):,} pictures): {accuracy:.2%} "
        f"as stored (float16), {trained:.2%} before folding and rounding.",
        *card.provenance(config, job.command, card.steps(log) // job.steps_per_epoch, log),
        "",
        "Most frequent confusions (class: predicted as, how often):",
        "",
        *(f"* {line}" for line in confusions(guess, test)),
    ]
    card.write(path.with_suffix(".md"), config.name, rows)


def predict(classifier: Callable, images: np.ndarray, batch: int = 128) -> np.ndarray:
    """Return the logits "n k" of uint8 pictures, computed in padded batches of one shape."""
    return in_batches(
        lambda rows: classifier(images[rows].astype(np.float32) / 255), len(images), batch
    )


def _full(model: nnx.Module):
    graph, state = nnx.split(model)
    return jax.tree_util.Partial(lambda state, images: nnx.merge(graph, state)(images), state)


def confusions(guess: np.ndarray, test: Pictures, top: int = 10) -> list[str]:
    """Return the most frequent wrong answers, as sentences."""
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
