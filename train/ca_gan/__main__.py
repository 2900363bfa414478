"""Train the contextual attention GAN that fidojax ships as an infiller.

    python -m train.ca_gan tiny-imagenet40 --data-dir D --out DIR --devices 2
    python -m train.ca_gan full-256 --data-dir D --out DIR     # the paper's, for an accelerator
    python -m train.ca_gan smoke --out DIR                     # seconds, synthetic pictures

D is a folder of TFDS data sets as array_record. `--devices` splits a CPU into that many devices. A
run may be killed at any time: the same command continues it, with the same bits in the end. Every
checkpoint adds a page of infills to DIR/grids. The end of the run, or `--export` at any time,
writes the weights ca_NAME.npz (float16) and their model card ca_NAME.md into DIR.
"""

import dataclasses
from pathlib import Path

import jax
from flax import nnx

from fidojax import networks
from fidojax.networks import weight_files
from fidojax.types import Infiller
from infillers.ca import Generator, ca
from train import pictures, program, recovery
from train.ca_gan import report
from train.ca_gan.step import Run, build, make_steps


@dataclasses.dataclass(frozen=True)
class Config(program.Settings):
    """The settings of a run; the defaults are the paper's, or those of its authors' code."""

    name: str = "imagenet256"
    out: Path = Path("runs/ca_imagenet256")
    validate: int = 192
    """Number of the split's pictures measured at each checkpoint; at the end all are."""

    side: int = 256
    """Side of the pictures in pixels, a multiple of 16."""
    width: int = 32
    """Channels of the generator's first layer."""
    dilations: tuple[int, ...] = (2, 4, 8, 16)
    """Dilations of the generator's middle convolutions."""
    rule: str = "known"
    """The places that attention may copy from, see `infillers.ca.attention.known_keys`."""
    critic_width: int = 64
    """Channels of the critics' first layers."""

    steps: int = 1_000_000
    """Steps of the generator."""
    save_every: int = 10_000
    """Steps between checkpoints, with measurements and a grid."""
    batch: int = 16
    critic_steps: int = 5
    """Steps of the critics before each step of the generator, each on its own batch."""
    adversarial_from: int = 0
    """The step at which the critics join; before it there are only reconstruction losses."""
    learning_rate: float = 1e-4
    critic_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.9)
    """Adam's decay rates for the generator."""
    critic_betas: tuple[float, float] = (0.5, 0.9)
    """Adam's decay rates for the critics."""
    warmup: int = 0
    """Steps over which the generator's learning rate rises from 0."""
    cooldown: float = 0.0
    """Share of the steps, the last ones, in which the generator's learning rate falls to
    `last_rate`."""
    last_rate: float = 0.0
    ema: float = 0.0
    """Decay of the moving average of the weights, which is measured and exported."""

    gan_weight: float = 1e-3
    """Weight of the adversarial loss."""
    l1_weight: float = 1.2
    """Weight of the discounted error in the hole."""
    known_weight: float = 1.2
    """Weight of the error of known pixels."""
    coarse_weight: float = 1.2
    """Weight of the coarse stage in both errors."""
    penalty: float = 10.0
    """Weight of the penalty on the critics' gradients."""

    holes: tuple[str, ...] = ("rectangle",)
    """Kinds of holes, "rectangle", "pixels" and "free_form", drawn with equal probability for each
    picture."""
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
            dilations=(2, 4, 8),  # a tap at distance 16 lies outside a side of 16
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
        "a short run on synthetic pictures, as a test",
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
    """Return the pictures to train on, and those that are measured."""
    return pictures.both(config, counts=(128, 32), size=config.side)


def main(config: Config) -> None:
    """Train generator and critics, then measure and write the generator's weights and card."""
    job = program.begin("train.ca_gan", config, data)
    if job.train.images.shape[1:] != (config.side, config.side, 3):
        size = " x ".join(map(str, job.train.images.shape[1:]))
        raise ValueError(f"{config.name}: pictures are {size}, expected --side {config.side} x 3")

    parts, run = build(config)
    draw, critics_step, generator_step = make_steps(config, parts, job.placement)
    seed = jax.random.key(config.seed + 1)

    def step(run: Run, index: int):
        adversarial = index >= config.adversarial_from
        turns = config.critic_steps if adversarial else 0
        drawn = index + max(0, index - config.adversarial_from) * config.critic_steps
        key = jax.random.fold_in(seed, index)
        metrics = {"critic": 0.0, "distance": 0.0}
        for turn in range(turns):
            hole_key, turn_key = jax.random.split(jax.random.fold_in(key, turn + 1))
            real, hole = draw(job.batch(drawn + turn)[0], hole_key)
            run, metrics = critics_step(run, real, hole, turn_key)
        real, hole = draw(job.batch(drawn + turns)[0], key)
        run, found = generator_step(run, real, hole, adversarial)
        return run, found | metrics

    def generator() -> Generator:
        return Generator(config.width, config.dilations, config.rule, rngs=nnx.Rngs(0))

    def stored(run: Run, path: Path) -> Infiller:
        """Write the averaged weights; return the infiller that reads them, as users get it."""
        weight_files.save(path, nnx.merge(parts.generator, jax.device_get(run.average)))
        return ca(path, size=None, network=generator)

    some = job.test.first(config.validate)
    known = config.name in networks.SHIPPED
    classifier = networks.load(config.name).classifier if known else None

    def evaluate(run: Run, done: int) -> dict[str, float]:
        infill = stored(run, config.out / "latest.npz")
        recovery.show(config.out / "grids" / f"{done:07d}.png", infill, some)
        row = {}
        for kind in recovery.KINDS:
            error, probability = recovery.measure(infill, some, kind, classifier)
            row |= {kind: error} | ({f"{kind}_read": probability} if known else {})
        return row

    run = job.fit(run, step, evaluate, steps=config.steps, save_every=config.save_every)
    path = config.out / f"ca_{config.name}.npz"
    report.write(job, stored(run, path), path)


if __name__ == "__main__":
    program.command(main, CONFIGS)
