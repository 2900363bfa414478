"""Trains the variational autoencoders that fidojax ships as infillers.

    python -m train.vae mnist --data-dir D --out DIR
    python -m train.vae natural --data-dir D --out DIR --devices 2
    python -m train.vae natural-224 --data-dir D --out DIR     # the paper's, for an accelerator
    python -m train.vae smoke --out DIR                        # seconds, synthetic pictures

D holds the TFDS data sets as array_record. `--devices` splits a CPU into that many. Kill it at any
time: the same command continues and ends with the same bits. After every epoch DIR/grids shows
infills; at its end it writes vae_NAME.npz (float16) and its model card vae_NAME.md into DIR, and
`--export` does so at once with the last checkpoint.
"""

import dataclasses
import shlex
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import tyro
from flax import nnx

from fidojax.networks import weight_files
from fidojax.types import Infiller
from infillers.vae.parts import fold
from infillers.vae.vae import vae
from train import pictures
from train.data_parallel import placement
from train.loop import Settings, fit, same_settings
from train.vae import recovery, report
from train.vae.step import Run, make_step, network, optimiser


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Settings of one run; the defaults are those of VDSM's authors for MNIST."""

    name: str = "mnist"
    out: Path = Path("runs/vae_mnist")
    split: str = "test"
    validate: int = 256
    """How many of its pictures are measured after each epoch; at the end all are."""
    export: bool = False
    """Measure and write the last checkpoint, and train no further."""

    widths: tuple[int, ...] = (8,)
    """Channels of MNIST's network; of the other at the full, half and quarter side."""
    latent: int = 8
    dilations: tuple[int, ...] = (2, 4, 8, 16)
    variance: bool = True
    """The decoder gives each pixel a variance."""

    epochs: int = 100
    batch: int = 128
    learning_rate: float = 1e-3
    schedule: str = "plateau"
    """"plateau" (times 0.2 when the loss of three epochs is no better) or "cosine" to 0."""
    again: tuple[int, float] = (1000, 0.0)
    """(epoch, rate): there the first cosine ends and a second begins; none if beyond the last."""
    clip: float = 5.0
    """Each element of the gradient is cut to this; 0 for none."""
    ema: float = 0.0
    """Decay of the moving average of the weights, which is what is measured and exported."""
    loss: str = "authors"
    """MNIST: cross-entropy over all pixels ("authors") or over the dropped ones ("paper")."""
    kl_weight: float | None = None
    """Of the divergence beside the reconstruction of one picture. If not given, the authors':
    batch size / number of training pictures."""

    holes: tuple[str, ...] = ("rectangle", "pixels")
    """Of `train.vae.step.KINDS`, drawn fairly."""
    mixed: bool = False
    """Each picture draws its kind of hole, not each batch."""
    keep: tuple[float, float] = (0.5, 0.5)
    """Range of the share of pixels kept where the hole is "pixels"."""
    sides: tuple[tuple[int, int], ...] = ((0, 28),)
    """(epoch, side): from there crops of that side, at random places; less is faster."""
    flip: bool = False


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
            dilations=(2, 4),  # 16, on a side of 16, would only see itself
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
        "a few steps on synthetic pictures, to see the program run",
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
    """Training pictures and measured pictures."""
    if config.name == "smoke":
        train, test = pictures.synthetic(256, 24, 6, seed=1), pictures.synthetic(96, 24, 6, seed=2)
        if len(config.widths) == 3:
            return train, test
        return _grey(train), _grey(test)
    return pictures.both(config.data_dir, config.name, config.split)


def _grey(some: pictures.Pictures) -> pictures.Pictures:
    return some._replace(images=some.images.max(-1, keepdims=True))


def main(config: Config) -> None:
    """Trains, measures and writes the weights and their card."""
    begun = time.time()
    on = placement(config.devices, config.batch)
    same_settings(config)
    train, test = data(config)
    per_epoch = len(train.labels) // config.batch
    steps = config.epochs * per_epoch

    graph, params, stats = nnx.split(network(config), nnx.Param, ...)
    tx = optimiser(config, per_epoch)
    run = Run(params, stats, tx.init(params), (params, stats))
    run = on.copied(run)
    jitted = make_step(config, graph, tx, len(train.labels), on.replicated)

    shape = partial(network, config, norm=False)
    some = test.first(config.validate)

    def step(run: Run, index: int):
        rows = pictures.rows(len(train.labels), config.batch, config.seed, index)
        side = [side for start, side in config.sides if index >= start * per_epoch][-1]
        return jitted(run, jax.device_put(train.images[rows], on.spread), jnp.int32(index), side)

    def infiller(run: Run, path: Path) -> Infiller:
        """As a user gets it: stored and read again."""
        model = nnx.merge(graph, *jax.device_get(run.average), copy=True)
        weight_files.save(path, fold(model))
        return vae(path, size=None, network=shape)

    def evaluate(run: Run, done: int) -> dict[str, float]:
        infill = infiller(run, config.out / "latest.npz")
        recovery.show(config.out / "grids" / f"{-(-done // per_epoch):03d}.png", infill, some)
        errors = {kind: recovery.measure(infill, some, kind).error for kind in recovery.KINDS}
        return errors | {"seconds": time.time() - begun}

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
    command = "python -m train.vae " + shlex.join(sys.argv[1:])
    path = config.out / f"vae_{config.name}.npz"
    report.write(config, infiller(run, path), path, test, command, per_epoch)


if __name__ == "__main__":
    main(tyro.extras.overridable_config_cli(CONFIGS))
