"""Trains the contextual attention GAN that fidojax ships as an infiller.

    python -m train.ca_gan tiny-imagenet40 --data-dir D --out DIR --devices 2
    python -m train.ca_gan full-256 --data-dir D --out DIR     # the paper's, for an accelerator
    python -m train.ca_gan smoke --out DIR                     # seconds, synthetic pictures

D holds the TFDS data sets as array_record. `--devices` splits a CPU into that many. Kill it at any
time: the same command continues and ends with the same bits. DIR/grids shows infills as they get
better; at its end it writes ca_NAME.npz (float16) and its model card ca_NAME.md into DIR, and
`--export` does so at once with the last checkpoint.
"""

import dataclasses
import shlex
import sys
import time
from pathlib import Path

import jax
import tyro
from flax import nnx

from fidojax import networks as pretrained
from fidojax.networks import weight_files
from fidojax.types import Infiller
from infillers.ca.ca import ca
from infillers.ca.generator import Generator
from train import pictures
from train.ca_gan import report
from train.ca_gan.step import Run, build, make_steps
from train.data_parallel import placement
from train.loop import Settings, fit, same_settings
from train.vae import recovery


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Settings of one run; the defaults are the paper's, of its authors' code where they differ."""

    name: str = "imagenet256"
    out: Path = Path("runs/ca_imagenet256")
    validate: int = 192
    """How many of its pictures are measured at each checkpoint; at the end all are."""
    export: bool = False
    """Measure and write the last checkpoint, and train no further."""

    side: int = 256
    """Of the pictures in pixels, a multiple of 16."""
    width: int = 32
    """Channels of the generator's first layer."""
    dilations: tuple[int, ...] = (2, 4, 8, 16)
    rule: str = "known"
    """Which places attention may copy from, see `infillers.ca.attention.known_keys`."""
    critic_width: int = 64
    """Channels of the critics' first layers."""

    steps: int = 1_000_000
    """Of the generator."""
    save_every: int = 10_000
    """Steps between checkpoints, with measurements and a grid."""
    batch: int = 16
    critic_steps: int = 5
    """Of the critics before each of the generator, each on a batch of its own."""
    adversarial_from: int = 0
    """Before this step there are no critics, only reconstruction."""
    learning_rate: float = 1e-4
    critic_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.9)
    """Adam's, of the generator."""
    critic_betas: tuple[float, float] = (0.5, 0.9)
    warmup: int = 0
    """Steps over which the generator's learning rate rises from 0."""
    cooldown: float = 0.0
    """Last share of the steps, in which the generator's learning rate falls to `last_rate`."""
    last_rate: float = 0.0
    ema: float = 0.0
    """Decay of the moving average of the weights, which is what is measured and exported."""

    gan_weight: float = 1e-3
    l1_weight: float = 1.2
    """Of the discounted error in the hole."""
    known_weight: float = 1.2
    """Of the error of known pixels."""
    coarse_weight: float = 1.2
    """Of the coarse stage in both errors."""
    penalty: float = 10.0
    """Of the critics' gradients."""

    holes: tuple[str, ...] = ("rectangle",)
    """Of "rectangle", "pixels" and "free_form", drawn fairly for each picture."""
    keep: tuple[float, float] = (0.1, 0.9)
    """Range of the share of pixels kept where the hole is "pixels"."""


CONFIGS = {
    "tiny-imagenet40": (
        "half the channels and every form of hole, 64 x 64 x 3",
        Config(
            name="tiny_imagenet40",
            out=Path("runs/ca_tiny_imagenet40"),
            side=64,
            width=16,
            dilations=(2, 4, 8),  # 16 would only see itself on a side of 16
            critic_width=32,
            steps=4800,
            save_every=300,
            critic_steps=1,
            adversarial_from=4300,
            learning_rate=1e-3,
            critic_rate=4e-4,
            betas=(0.9, 0.99),
            warmup=100,
            cooldown=0.6,
            last_rate=5e-5,
            ema=0.995,
            holes=("rectangle", "pixels", "free_form"),
        ),
    ),
    "full-256": ("the paper's network and recipe, 256 x 256 x 3", Config()),
    "smoke": (
        "a few steps on synthetic pictures, to see the program run",
        Config(
            name="smoke",
            out=Path("runs/ca_smoke"),
            side=16,
            width=4,
            dilations=(2,),
            critic_width=4,
            steps=18,
            save_every=6,
            batch=8,
            critic_steps=2,
            learning_rate=3e-3,
            validate=16,
            ema=0.5,
            holes=("rectangle", "pixels", "free_form"),
        ),
    ),
}


def data(config: Config) -> tuple[pictures.Pictures, pictures.Pictures]:
    """Training pictures and measured pictures."""
    if config.name == "smoke":
        side = config.side
        return pictures.synthetic(128, side, 6, seed=1), pictures.synthetic(32, side, 6, seed=2)
    return pictures.both(config.data_dir, config.name, config.split)


def main(config: Config) -> None:
    """Trains, measures and writes the weights and their card."""
    begun = time.time()
    on = placement(config.devices, config.batch)
    same_settings(config)
    train, test = data(config)
    if train.images.shape[1:] != (config.side, config.side, 3):
        size = " x ".join(map(str, train.images.shape[1:]))
        raise ValueError(f"{config.name}: pictures are {size}, expected --side {config.side} x 3")

    networks, run = build(config)
    run = on.copied(run)
    draw, critics_step, generator_step = make_steps(config, networks, on.replicated, on.spread)
    seed = jax.random.key(config.seed + 1)

    def next_images(drawn: int) -> jax.Array:
        rows = pictures.rows(len(train.labels), config.batch, config.seed, drawn)
        return jax.device_put(train.images[rows], on.spread)

    def step(run: Run, index: int):
        adversarial = index >= config.adversarial_from
        turns = config.critic_steps if adversarial else 0
        drawn = index + max(0, index - config.adversarial_from) * config.critic_steps
        key = jax.random.fold_in(seed, index)
        metrics = {"critic": 0.0, "distance": 0.0}
        for turn in range(turns):
            hole_key, turn_key = jax.random.split(jax.random.fold_in(key, turn + 1))
            real, hole = draw(next_images(drawn + turn), hole_key)
            run, metrics = critics_step(run, real, hole, turn_key)
        run, found = generator_step(run, *draw(next_images(drawn + turns), key), adversarial)
        return run, found | metrics

    def network() -> Generator:
        return Generator(config.width, config.dilations, config.rule, rngs=nnx.Rngs(0))

    def infiller(run: Run, path: Path) -> Infiller:
        """As a user gets it: stored and read again."""
        weight_files.save(path, nnx.merge(networks.generator, jax.device_get(run.average)))
        return ca(path, size=None, network=network)

    some = test.first(config.validate)
    known = config.name in pretrained.SHIPPED
    classifier = pretrained.load(config.name).classifier if known else None

    def evaluate(run: Run, done: int) -> dict[str, float]:
        infill = infiller(run, config.out / "latest.npz")
        recovery.show(config.out / "grids" / f"{done:07d}.png", infill, some)
        row = {}
        for kind in recovery.KINDS:
            error, probability = recovery.measure(infill, some, kind, classifier)
            row |= {kind: error} | ({f"{kind}_read": probability} if known else {})
        return row | {"seconds": time.time() - begun}

    print(f"{config.name}: {len(train.labels)} pictures, {config.steps} steps, {on.count} devices")
    run = fit(
        run,
        step,
        steps=0 if config.export else config.steps,
        directory=config.out,
        save_every=config.save_every,
        evaluate=evaluate,
        title=config.name,
    )
    command = "python -m train.ca_gan " + shlex.join(sys.argv[1:])
    path = config.out / f"ca_{config.name}.npz"
    report.write(config, infiller(run, path), path, test, command, len(train.labels))


if __name__ == "__main__":
    main(tyro.extras.overridable_config_cli(CONFIGS))
