"""Train the variational autoencoders that fidojax ships as infillers.

    python -m train.vae mnist --data-dir D --out DIR
    python -m train.vae natural --data-dir D --out DIR --devices 2
    python -m train.vae natural-224 --data-dir D --out DIR     # the paper's, for an accelerator
    python -m train.vae smoke --out DIR                        # seconds, synthetic pictures

D is a folder of TFDS data sets as array_record. `--devices` splits a CPU into that many devices. A
run may be killed at any time: the same command continues it, with the same bits in the end. Every
epoch adds a page of infills to DIR/grids. The end of the run, or `--export` at any time, writes the
weights vae_NAME.npz (float16) and their model card vae_NAME.md into DIR.
"""

import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

from fidojax.networks import fold, weight_files
from fidojax.types import Infiller
from infillers.vae import vae
from train import pictures, program, recovery
from train.vae import report
from train.vae.step import Run, make_step, network, optimiser


@dataclasses.dataclass(frozen=True)
class Config(program.Settings):
    """The settings of a run; the defaults are those of VDSM's authors for MNIST."""

    name: str = "mnist"
    out: Path = Path("runs/vae_mnist")
    split: str = "test"
    validate: int = 256
    """Number of the split's pictures measured after each epoch; at the end all are."""

    widths: tuple[int, ...] = (8,)
    """Channels of MNIST's network, or of the other one at the full, half and quarter side."""
    latent: int = 8
    """Channels of the latent variable."""
    dilations: tuple[int, ...] = (2, 4, 8, 16)
    variance: bool = True
    """Whether the decoder predicts a variance for each pixel."""

    epochs: int = 100
    batch: int = 128
    learning_rate: float = 1e-3
    schedule: str = "plateau"
    """"plateau" (times 0.2 after three epochs without a lower loss) or "cosine" to 0."""
    again: tuple[int, float] = (1000, 0.0)
    """(epoch, rate) of a second cosine, at whose start the first one ends; an epoch after the last
    one means a single cosine."""
    clip: float = 5.0
    """Largest absolute value of a gradient's elements; 0 for no limit."""
    ema: float = 0.0
    """Decay of the moving average of the weights, which is measured and exported."""
    loss: str = "authors"
    """MNIST: cross-entropy over all pixels ("authors") or over the dropped ones ("paper")."""
    kl_weight: float | None = None
    """Weight of the divergence beside the reconstruction of one picture; the authors' batch size /
    number of training pictures if not given."""

    holes: tuple[str, ...] = ("rectangle", "pixels")
    """Kinds of holes, names in `train.vae.step.KINDS`, drawn with equal probability."""
    mixed: bool = False
    """Draw the kind of hole for each picture instead of for each batch."""
    keep: tuple[float, float] = (0.5, 0.5)
    """Range of the share of pixels kept where the hole is "pixels"."""
    sides: tuple[tuple[int, int], ...] = ((0, 28),)
    """(epoch, side) pairs: from that epoch on, random crops of that side; smaller is faster."""
    flip: bool = False
    """Mirror each picture with probability one half."""


CONFIGS = {
    "mnist": ("VDSM's network, 28 x 28 x 1", Config()),
    "natural": (
        "FIDO's layers with fewer channels, 64 x 64 x 3",
        Config(
            name="tiny_imagenet40",
            out=Path("runs/vae_tiny_imagenet40"),
            split="validation",
            widths=(24, 48, 96),
            latent=48,
            dilations=(2, 4),  # a tap at distance 16 lies outside a side of 16
            epochs=10,
            batch=16,
            schedule="cosine",
            again=(8, 5e-4),
            clip=0.0,
            ema=0.999,
            holes=("rectangle", "pixels", "free_form"),
            mixed=True,
            keep=(0.2, 0.8),
            sides=((0, 32), (6, 64)),
            flip=True,
        ),
    ),
    "natural-224": (
        "FIDO's network and recipe, 224 x 224 x 3",
        Config(
            name="imagenet224",
            out=Path("runs/vae_imagenet224"),
            split="validation",
            widths=(64, 128, 256),
            latent=256,
            epochs=8,
            batch=2,
            learning_rate=2e-4,
            sides=((0, 224),),
        ),
    ),
    "smoke": (
        "a short run on synthetic pictures, as a test",
        Config(
            name="smoke",
            out=Path("runs/vae_smoke"),
            widths=(8, 8, 8),
            latent=8,
            dilations=(2,),
            epochs=6,
            batch=16,
            learning_rate=1e-2,
            schedule="cosine",
            holes=("rectangle", "pixels", "free_form"),
            mixed=True,
            validate=32,
            sides=((0, 16), (2, 24)),
        ),
    ),
}


def data(config: Config) -> tuple[pictures.Pictures, pictures.Pictures]:
    """Return the pictures to train on, and those that are measured."""
    train, test = pictures.both(config, counts=(256, 96), size=24)
    if config.name == "smoke" and len(config.widths) == 1:
        return _grey(train), _grey(test)
    return train, test


def _grey(some: pictures.Pictures) -> pictures.Pictures:
    return some._replace(images=some.images.max(-1, keepdims=True))


def main(config: Config) -> None:
    """Train the network, then measure and write the weights and their card."""
    job = program.begin("train.vae", config, data)
    per_epoch = job.steps_per_epoch

    graph, params, stats = nnx.split(network(config), nnx.Param, ...)
    tx = optimiser(config, per_epoch)
    jitted = make_step(config, graph, tx, len(job.train.labels), job.placement.replicated)

    def step(run: Run, index: int):
        images, _ = job.batch(index)
        side = [side for start, side in config.sides if index >= start * per_epoch][-1]
        return jitted(run, images, jnp.int32(index), side)

    def stored(run: Run, path: Path) -> Infiller:
        """Write the averaged weights; return the infiller that reads them, as users get it."""
        model = nnx.merge(graph, *jax.device_get(run.average), copy=True)
        weight_files.save(path, fold(model))
        return vae(path, size=None, network=partial(network, config, norm=False))

    some = job.test.first(config.validate)

    def evaluate(run: Run, done: int) -> dict[str, float]:
        infill = stored(run, config.out / "latest.npz")
        recovery.show(config.out / "grids" / f"{-(-done // per_epoch):03d}.png", infill, some)
        return {kind: recovery.measure(infill, some, kind).error for kind in recovery.KINDS}

    run = Run(params, stats, tx.init(params), (params, stats))
    run = job.fit(run, step, evaluate, steps=config.epochs * per_epoch, save_every=per_epoch)
    path = config.out / f"vae_{config.name}.npz"
    report.write(job, stored(run, path), path)


if __name__ == "__main__":
    program.command(main, CONFIGS)
