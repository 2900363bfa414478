"""Trains the encoders that fidojax ships for VarSal: a map and its uncertainty in one pass.

    python -m train.varsal tiny-imagenet40 --data-dir D --out DIR --devices 2
    python -m train.varsal mnist --data-dir D --out DIR
    python -m train.varsal paper --data-dir D --out DIR     # VGG16 at 224, for an accelerator
    python -m train.varsal smoke --out DIR                  # seconds, synthetic pictures

D holds the TFDS data sets as array_record. An encoder explains the one classifier that it is
trained for, which stays as it is. `--devices` splits a CPU into that many. Kill it at any time: the
same command continues and ends with the same bits. After every epoch DIR/grids shows maps; at its
end it writes varsal_NAME.npz (float16) and its model card varsal_NAME.md into DIR, of the epoch
with the lowest loss, and `--export` does so at once with the last checkpoint.
"""

import dataclasses
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from jax.tree_util import Partial

from fidojax import networks
from fidojax.methods import BASELINES
from fidojax.networks import WIDTHS, VarSalNetwork, fold, load_encoder, weight_files
from fidojax.types import Classifier
from train import pictures
from train.data_parallel import placement
from train.loop import Settings, fit, same_settings
from train.varsal import report
from train.varsal.step import keep_best, kept, make_step, optimiser, start


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Settings of one run; the defaults are the paper's."""

    name: str = "imagenet224"
    classifier: str = "keras:VGG16"
    """What is explained: a name that `fidojax.networks.load` knows."""
    weights: Path | None = None
    """A file of weights for it instead of its own, say, in part randomised for a sanity check."""
    out: Path = Path("runs/varsal_imagenet224")
    validate: int = 256
    """How many of its pictures are measured after each epoch; at the end all are."""
    export: bool = False
    """Measure and write the best weights so far, and train no further."""

    widths: tuple[int, ...] = WIDTHS
    """Channels of each layer but the last."""
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
    """The divergence with its factor 1/2; the paper's eq. 7 is without."""
    baselines: tuple[str, ...] = BASELINES
    """What may stand where pixels are dropped, drawn fairly."""
    sigma: float = 10.0
    """Of the blurred baseline, in pixels."""
    noise: float = 0.2
    """Of the other two, in units of the pixels' range."""
    epsilon: float = 0.01
    """Softness of the top k."""
    hard: bool = False
    """The classifier sees rounded masks."""
    mixed: bool = False
    """Each picture draws its k and its baseline, not each step."""


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
        "a few steps on synthetic pictures, to see the program run",
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
    """Training pictures and measured pictures."""
    if config.name == "smoke":
        return pictures.synthetic(256, 16, 6, seed=1), pictures.synthetic(64, 16, 6, seed=2)
    return pictures.both(config.data_dir, config.name, config.split)


def explained(config: Config, train: pictures.Pictures) -> Classifier:
    """The classifier; for synthetic pictures that of the nearest class mean."""
    if config.classifier != "smoke":
        return networks.load(config.classifier, config.weights).classifier
    images = train.images.astype(np.float32) / 255
    means = [images[train.labels == label].mean(0) for label in range(len(train.names))]
    return Partial(_nearest, jnp.asarray(np.stack(means)))


def _nearest(means: Any, images: Any) -> Any:
    apart = images[:, None] - means
    return -0.2 * jnp.sum(apart**2, axis=(2, 3, 4))


def main(config: Config) -> None:
    """Trains, measures and writes the weights and their card."""
    begun = time.time()
    on = placement(config.devices, config.batch)
    same_settings(config)
    train, test = data(config)
    per_epoch = len(train.labels) // config.batch
    steps = config.epochs * per_epoch

    classifier = jax.device_put(explained(config, train), on.replicated)
    channels = train.images.shape[-1]
    network = VarSalNetwork(channels, config.widths, rngs=nnx.Rngs(config.seed))
    graph, params, stats = nnx.split(network, nnx.Param, ...)
    tx = optimiser(config, per_epoch)
    run = start(params, stats, tx)
    run = on.copied(run)
    jitted = make_step(config, graph, tx, on.replicated)
    some = test.first(config.validate)

    def step(run, index: int):
        rows = pictures.rows(len(train.labels), config.batch, config.seed, index)
        images = jax.device_put(train.images[rows], on.spread)
        run, metrics = jitted(run, classifier, images, jnp.int32(index))
        return (keep_best(run, per_epoch) if (index + 1) % per_epoch == 0 else run), metrics

    def encoder(run, path: Path):
        """As a user gets it: stored and read again."""
        model = nnx.merge(graph, *jax.device_get(kept(run)), copy=True)
        weight_files.save(path, fold(model))
        return load_encoder(path)

    def evaluate(run, done: int) -> dict[str, float]:
        best = encoder(run, config.out / "latest.npz")
        report.show(config.out / "grids" / f"{-(-done // per_epoch):03d}.png", best, some)
        half = report.erased(best, classifier, some, (0.5,))
        erased = {f"erased_{name}": float(mean) for name, (mean,) in half.items()}
        return {"best": float(run.lowest), **erased, "seconds": time.time() - begun}

    print(f"{config.name}: {len(train.labels)} pictures, {steps} steps, {on.count} devices")
    run = fit(
        run,
        step,
        steps=0 if config.export else steps,
        directory=config.out,
        save_every=per_epoch,
        evaluate=evaluate,
        title=config.name,
    )
    command = "python -m train.varsal " + shlex.join(sys.argv[1:])
    path = config.out / f"varsal_{config.name}.npz"
    report.write(config, encoder(run, path), classifier, path, test, command, per_epoch)


if __name__ == "__main__":
    main(tyro.extras.overridable_config_cli(CONFIGS))
