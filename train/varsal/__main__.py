"""Train the encoders that fidojax ships for VarSal: a map and its uncertainty in one pass.

    python -m train.varsal tiny-imagenet40 --data-dir D --out DIR --devices 2
    python -m train.varsal mnist --data-dir D --out DIR
    python -m train.varsal paper --data-dir D --out DIR     # VGG16 at 224, for an accelerator
    python -m train.varsal smoke --out DIR                  # seconds, synthetic pictures

D is a folder of TFDS data sets as array_record. An encoder explains the one classifier that it is
trained for, whose weights stay fixed. `--devices` splits a CPU into that many devices. A run may be
killed at any time: the same command continues it, with the same bits in the end. Every epoch adds a
page of maps to DIR/grids. The end of the run, or `--export` at any time, writes the weights
varsal_NAME.npz (float16) of the epoch with the lowest loss and their model card varsal_NAME.md into
DIR.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from fidojax import networks
from fidojax.methods import BASELINES
from fidojax.networks import VARSAL_WIDTHS, VarSalNetwork, fold, load_encoder, weight_files
from fidojax.types import Classifier, Encoder
from train import pictures, program
from train.varsal import report
from train.varsal.step import Run, keep_best, kept, make_step, optimiser, start


@dataclasses.dataclass(frozen=True)
class Config(program.Settings):
    """The settings of a run; the defaults are the paper's."""

    name: str = "imagenet224"
    classifier: str = "keras:VGG16"
    """The classifier to explain, as `fidojax.networks.load` takes it."""
    weights: Path | None = None
    """Another weights file for the classifier, say, with randomised layers for a sanity check."""
    out: Path = Path("runs/varsal_imagenet224")
    validate: int = 256
    """Number of the split's pictures measured after each epoch; at the end all are."""

    widths: tuple[int, ...] = VARSAL_WIDTHS
    """Channels of every layer except the last."""
    epochs: int = 10
    batch: int = 128
    learning_rate: float = 1e-4
    schedule: str = "constant"
    """"constant" (paper) or "cosine" to 0 after a warm-up."""
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 5e-4
    flip: bool = False
    """Mirror each picture with probability one half."""

    prior: str = "soft_tv"
    """"soft_tv" or "standard"."""
    alpha: float = 0.4
    beta: float | None = None
    """Weight of the divergence; the paper's 1 / (10 h w) if not given."""
    half: bool = True
    """Whether the divergence has its factor 1/2; the paper's eq. 7 omits it."""
    baselines: tuple[str, ...] = BASELINES
    """What replaces dropped pixels, drawn with equal probability."""
    sigma: float = 10.0
    """Standard deviation of the blurred baseline's kernel, in pixels."""
    noise: float = 0.2
    """Standard deviation of the other two baselines' noise, in units of the pixels' range."""
    epsilon: float = 0.01
    """Temperature of the soft top k."""
    hard: bool = False
    """Whether the classifier sees rounded masks."""
    mixed: bool = False
    """Draw k and the baseline for each picture instead of for each step."""


CONFIGS = {
    "paper": ("VGG16 on ImageNet, 224 x 224 x 3", Config()),
    "tiny-imagenet40": (
        "the shipped classifier, 64 x 64 x 3",
        Config(
            name="tiny_imagenet40",
            classifier="tiny_imagenet40",
            out=Path("runs/varsal_tiny_imagenet40"),
            widths=(24,) * 4 + (16,) * 11,
            epochs=4,
            batch=16,
            learning_rate=2e-3,
            schedule="cosine",
            flip=True,
            sigma=3.0,  # 10 at 224 pixels
            mixed=True,
        ),
    ),
    "mnist": (
        "the shipped classifier, 28 x 28 x 1",
        Config(
            name="mnist",
            classifier="mnist",
            out=Path("runs/varsal_mnist"),
            split="test",
            widths=(24,) * 3 + (16,) * 5,
            epochs=3,
            batch=32,
            learning_rate=2e-3,
            schedule="cosine",
            sigma=3.0,
            mixed=True,
        ),
    ),
    "smoke": (
        "a short run on synthetic pictures, as a test",
        Config(
            name="smoke",
            classifier="smoke",
            out=Path("runs/varsal_smoke"),
            widths=(8, 8),
            epochs=4,
            batch=32,
            learning_rate=2e-2,
            schedule="cosine",
            sigma=2.0,
            mixed=True,
            validate=32,
        ),
    ),
}


def data(config: Config) -> tuple[pictures.Pictures, pictures.Pictures]:
    """Return the pictures to train on, and those that are measured."""
    return pictures.both(config, counts=(256, 64), size=16)


def explained(config: Config, train: pictures.Pictures) -> Classifier:
    """Return the classifier; for synthetic pictures the one of the nearest class mean."""
    if config.classifier != "smoke":
        return networks.load(config.classifier, config.weights).classifier
    images = train.images.astype(np.float32) / 255
    means = [images[train.labels == label].mean(0) for label in range(len(train.names))]
    return Partial(_nearest, jnp.asarray(np.stack(means)))


def _nearest(means: Any, images: Any) -> Any:
    apart = images[:, None] - means
    return -0.2 * jnp.sum(apart**2, axis=(2, 3, 4))


def main(config: Config) -> None:
    """Train the encoder, then measure and write the weights and their card."""
    job = program.begin("train.varsal", config, data)
    per_epoch = job.steps_per_epoch

    classifier = jax.device_put(explained(config, job.train), job.placement.replicated)
    channels = job.train.images.shape[-1]
    network = VarSalNetwork(channels, config.widths, rngs=nnx.Rngs(config.seed))
    graph, params, stats = nnx.split(network, nnx.Param, ...)
    tx = optimiser(config, per_epoch)
    jitted = make_step(config, graph, tx, job.placement.replicated)

    def step(run: Run, index: int):
        images, _ = job.batch(index)
        run, metrics = jitted(run, classifier, images, jnp.int32(index))
        return (keep_best(run, per_epoch) if (index + 1) % per_epoch == 0 else run), metrics

    def stored(run: Run, path: Path) -> Encoder:
        """Write the best weights; return the encoder that reads them, as users get it."""
        model = nnx.merge(graph, *jax.device_get(kept(run)), copy=True)
        weight_files.save(path, fold(model))
        return load_encoder(path)

    some = job.test.first(config.validate)

    def evaluate(run: Run, done: int) -> dict[str, float]:
        best = stored(run, config.out / "latest.npz")
        report.show(config.out / "grids" / f"{-(-done // per_epoch):03d}.png", best, some)
        half = report.erased(best, classifier, some, (0.5,))
        return {
            "best": float(run.lowest),
            **{f"erased_{name}": float(mean) for name, (mean,) in half.items()},
        }

    run = start(params, stats, tx)
    run = job.fit(run, step, evaluate, steps=config.epochs * per_epoch, save_every=per_epoch)
    path = config.out / f"varsal_{config.name}.npz"
    report.write(job, stored(run, path), classifier, path)


if __name__ == "__main__":
    program.command(main, CONFIGS)
