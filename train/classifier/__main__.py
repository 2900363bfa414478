"""Train the classifiers that fidojax ships.

    python -m train.classifier tiny-imagenet40 --data-dir D --out DIR --devices 4
    python -m train.classifier mnist --data-dir D --out DIR
    python -m train.classifier smoke --out DIR          # seconds, synthetic pictures

D is a folder of TFDS data sets as array_record. `--devices` splits a CPU into that many devices:
XLA's weight gradients use little more than one core each, so that data-parallel steps are twice as
fast. A run may be killed at any time: the same command continues it, with the same bits in the end.
The end of the run, or `--export` at any time, writes the weights NAME.npz (float16) and their model
card NAME.md into DIR.
"""

import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from train import pictures, program
from train.classifier import report
from train.classifier.step import Phase, Run, at, make_step, network, optimiser


@dataclasses.dataclass(frozen=True)
class Config(program.Settings):
    """The settings of a run; the defaults are those of tiny_imagenet40."""

    name: str = "tiny_imagenet40"
    out: Path = Path("runs/tiny_imagenet40")

    widths: tuple[int, ...] = (24, 64, 128, 256)
    """Channels of the ResNet's stages; empty for the MNIST network."""
    blocks: tuple[int, ...] = (1, 2, 2, 1)
    """Residual blocks of each stage."""

    epochs: int = 60
    batch: int = 128
    optimizer: str = "sgd"
    """"sgd" (Nesterov, momentum 0.9) or "adamw"."""
    learning_rate: float = 0.1
    warmup: float = 0.06
    """Share of the first cycle in which the learning rate rises; then it falls as a cosine to 0."""
    again: tuple[int, float] = (50, 0.03)
    """(epoch, rate) from which on the learning rate is constant; an epoch after the last one means
    that it never is."""
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
    """Small crops first, which saves time. Grey pictures and close-ups come later: they slow the
    start, but without them the network learns little except colours and whole objects. At the end
    pictures are as sharp and objects as large as those that are measured."""
    ratio: tuple[float, float] = (0.75, 1.3333)
    """Range of the crops' width / height."""
    flip: bool = True
    """Mirror each picture with probability one half."""
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
        "a short run on synthetic pictures, as a test",
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
    """Return the pictures to train on, and those that are measured."""
    return pictures.both(config, counts=(256, 96), size=24)


def main(config: Config) -> None:
    """Train the network, then measure and write the weights and their card."""
    job = program.begin("train.classifier", config, data)
    test, per_epoch = job.test, job.steps_per_epoch

    graph, params, stats = nnx.split(network(config, len(test.names)), nnx.Param, ...)
    tx = optimiser(config, per_epoch)
    jitted = make_step(config, graph, tx, job.placement.replicated)

    def step(run: Run, index: int):
        images, labels = job.batch(index)
        return jitted(run, images, labels, jnp.int32(index), at(config.phases, index // per_epoch))

    forward = jax.jit(lambda average, images: nnx.merge(graph, *average, copy=True)(images))

    def evaluate(run: Run, done: int) -> dict[str, float]:
        average = jax.device_get(run.average)
        guess = report.predict(partial(forward, average), test.images).argmax(-1)
        return {config.split: float(np.mean(guess == test.labels))}

    run = Run(params, stats, tx.init(params), (params, stats))
    run = job.fit(run, step, evaluate, steps=config.epochs * per_epoch, save_every=per_epoch)
    report.write(job, nnx.merge(graph, *jax.device_get(run.average), copy=True))


if __name__ == "__main__":
    program.command(main, CONFIGS)
