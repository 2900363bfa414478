"""Trains the classifiers that fidojax ships.

    python -m train.classifier tiny-imagenet40 --data-dir D --out DIR --devices 4
    python -m train.classifier mnist --data-dir D --out DIR
    python -m train.classifier smoke --out DIR          # seconds, synthetic pictures

D holds the TFDS data sets as array_record. `--devices` splits a CPU into that many: XLA's weight
gradients hardly use more than one core each, so data-parallel steps are twice as fast. Kill it at
any time: the same command continues and ends with the same bits. At its end it writes NAME.npz
(float16) and its model card NAME.md into DIR.
"""

import dataclasses
import shlex
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx

from train import pictures
from train.classifier import export
from train.classifier.step import Phase, Run, at, make_step, network, optimiser
from train.data_parallel import placement
from train.loop import Settings, fit, same_settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Settings of one run; the defaults are those of tiny_imagenet40."""

    name: str = "tiny_imagenet40"
    out: Path = Path("runs/tiny_imagenet40")

    widths: tuple[int, ...] = (24, 64, 128, 256)
    """Channels of the ResNet's stages; empty for the MNIST network."""
    blocks: tuple[int, ...] = (1, 2, 2, 1)

    epochs: int = 60
    batch: int = 128
    optimizer: str = "sgd"
    """"sgd" (Nesterov, momentum 0.9) or "adamw"."""
    learning_rate: float = 0.1
    warmup: float = 0.06
    """Part of the first cycle in which the learning rate rises; then it falls as a cosine to 0."""
    again: tuple[int, float] = (50, 0.03)
    """(epoch, rate): from there a constant learning rate; none if the epoch is beyond the last."""
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1

    phases: tuple[Phase, ...] = (
        Phase(0, size=48),
        Phase(20, size=48, grey=0.1),
        Phase(29, size=48, area=(0.08, 1.0), grey=0.2),
        Phase(38, size=64, area=(0.08, 1.0), grey=0.2),
        Phase(43, size=64, area=(0.25, 1.0), grey=0.1),
        Phase(
            50,
            size=64,
            pad=8,
            area=(0.2, 1.0),
            grey=0.1,
            method="cubic",
            blur=(-0.1, 0.1),
            ema=0.999,
        ),
    )
    """Small crops first, which saves time; grey pictures and close-ups later, since they slow the
    start and without them the network reads little but colour and whole objects; at the end
    pictures as sharp and objects as large as those that are measured."""
    ratio: tuple[float, float] = (0.75, 1.3333)
    flip: bool = True
    colours: float = 0.35
    """Strength of the changes of brightness, contrast and saturation; 0 for none."""


CONFIGS = {
    "tiny-imagenet40": ("ResNet, 40 classes, 64 x 64 x 3", Config()),
    "mnist": (
        "the small network that VDSM explains, 28 x 28 x 1",
        Config(
            name="mnist",
            out=Path("runs/mnist"),
            split="test",
            widths=(),
            blocks=(),
            epochs=30,
            optimizer="adamw",
            learning_rate=2e-3,
            weight_decay=1e-2,
            label_smoothing=0.0,
            phases=(Phase(0, size=28, area=(0.75, 1.25)),),
            ratio=(0.85, 1.1765),
            flip=False,
            colours=0.0,
        ),
    ),
    "smoke": (
        "a few steps on synthetic pictures, to see the program run",
        Config(
            name="smoke",
            out=Path("runs/smoke"),
            widths=(8, 8),
            blocks=(1, 1),
            epochs=4,
            batch=32,
            learning_rate=0.05,
            phases=(Phase(0, size=16, ema=0.9), Phase(2, size=24, pad=2, grey=0.1, ema=0.9)),
        ),
    ),
}


def data(config: Config) -> tuple[pictures.Pictures, pictures.Pictures]:
    """Training pictures and measured pictures."""
    if config.name == "smoke":
        return pictures.synthetic(256, 24, 6, seed=1), pictures.synthetic(96, 24, 6, seed=2)
    return pictures.both(config.data_dir, config.name, config.split)


def main(config: Config) -> None:
    """Trains, measures and writes the weights and their card."""
    begun = time.time()
    on = placement(config.devices, config.batch)
    same_settings(config)
    train, test = data(config)
    per_epoch = len(train.labels) // config.batch
    steps = config.epochs * per_epoch

    graph, params, stats = nnx.split(network(config, len(test.names)), nnx.Param, ...)
    tx = optimiser(config, per_epoch)
    run = Run(params, stats, tx.init(params), (params, stats))
    run = on.copied(run)
    jitted = make_step(config, graph, tx, on.replicated)

    def step(run: Run, index: int):
        rows = pictures.rows(len(train.labels), config.batch, config.seed, index)
        phase = at(config.phases, index // per_epoch)
        images, labels = jax.device_put((train.images[rows], train.labels[rows]), on.spread)
        return jitted(run, images, labels, jnp.int32(index), phase)

    forward = jax.jit(lambda average, images: nnx.merge(graph, *average, copy=True)(images))

    def evaluate(run: Run, done: int) -> dict[str, float]:
        average = jax.device_get(run.average)
        guess = export.predict(partial(forward, average), test.images).argmax(-1)
        return {config.split: float(np.mean(guess == test.labels)), "seconds": time.time() - begun}

    print(f"{config.name}: {len(train.labels)} pictures, {steps} steps, {on.count} devices")
    run = fit(
        run,
        step,
        steps=steps,
        directory=config.out,
        save_every=per_epoch,
        evaluate=evaluate,
        title=config.name,
    )
    command = "python -m train.classifier " + shlex.join(sys.argv[1:])
    model = nnx.merge(graph, *jax.device_get(run.average), copy=True)
    export.write(config, model, test, command)


if __name__ == "__main__":
    main(tyro.extras.overridable_config_cli(CONFIGS))
