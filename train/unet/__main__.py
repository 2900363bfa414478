"""Train the U-Net that fidojax ships as the infiller of real photos.

    python -m train.unet imagenette --data-dir D --out DIR --devices 1
    python -m train.unet imagenet-gpu --data-dir D --out DIR   # more data and steps, for a GPU
    python -m train.unet smoke --out DIR                       # seconds, synthetic pictures

D is a folder of pictures, one folder of it per class. The run has no end of its own: `--steps` is
when it stops, and the learning rate falls slowly. It may be killed at any time: the same command
continues it, with the same bits in the end. Every checkpoint measures pictures that are not trained
on and adds a page of infills to DIR/grids. The end of the run, or `--export` at any time, writes
the weights unet_NAME.npz (float16) and their model card unet_NAME.md into DIR.
"""

import dataclasses
from pathlib import Path

import jax
from flax import nnx

from fidojax import networks
from fidojax.networks import weight_files
from fidojax.types import Infiller
from infillers.unet import unet
from train import pictures, program, recovery
from train.unet import perceptual, report
from train.unet.step import Losses, Run, build, make_steps


@dataclasses.dataclass(frozen=True)
class Config(program.Settings):
    """The settings of a run."""

    name: str = "imagenette"
    out: Path = Path("runs/unet_imagenette")
    held_out: int = 128
    """Number of pictures that are measured at each checkpoint and never trained on."""

    side: int = 128
    """Side of the pictures in pixels, a multiple of 8."""
    coarse: tuple[int, int] = (96, 160)
    """Channels of the coarse network at 16 and at 8 pixels a side."""
    detail: tuple[int, int] = (64, 96)
    """Channels of the second network at a quarter and an eighth of the side."""
    blocks: int = 3
    """Blocks with attention at 8 x 8."""
    critic_width: int = 48
    """Channels of the critic's first layer."""

    steps: int = 40_000
    save_every: int = 600
    """Steps between checkpoints, with measurements and a grid."""
    batch: int = 16
    learning_rate: float = 5e-4
    critic_rate: float = 4e-4
    warmup: int = 200
    """Steps over which the learning rate rises from 0."""
    slower_after: int = 2000
    """After three times as many steps the learning rate is a half."""
    ema: float = 0.998
    """Decay of the moving average of the weights, which is measured and exported."""
    crop: tuple[float, float] = (0.5, 1.0)
    """Range of the area of a picture that is trained on, resized to the side."""

    detail_from: int = 4200
    """The step at which the second network joins: the coarse one alone takes half of the time."""
    l1_weight: float = 1.0
    """Weight of the absolute error of dropped pixels, of both networks."""
    perceptual_weight: float = 0.05
    """Weight of the distance in the features of EfficientNet-Lite0; 0 leaves it out. Its gradient
    at a drawn picture is about 100 times that of the absolute error."""
    perceptual_from: int = 4800
    """The step at which that distance joins."""
    gan_weight: float = 0.002
    """Weight of the adversarial loss."""
    adversarial_from: int = 12_000
    """The step at which the critic joins."""
    penalty: float = 1.0
    """Weight of the penalty on the critic's gradient."""


CONFIGS = {
    "imagenette": ("10 classes of ImageNet at 128 x 128, in hours on two cores", Config()),
    "imagenet-gpu": (
        "a wider network and longer training on ImageNet at 256 x 256, for a GPU",
        Config(
            name="imagenet",
            out=Path("runs/unet_imagenet"),
            side=256,
            detail=(96, 160),
            steps=300_000,
            save_every=5000,
            batch=64,
            slower_after=20_000,
            ema=0.9995,
            crop=(0.25, 1.0),
            detail_from=20_000,
            perceptual_from=30_000,
            adversarial_from=100_000,
        ),
    ),
    "smoke": (
        "a short run on synthetic pictures, as a test",
        Config(
            name="smoke",
            out=Path("runs/unet_smoke"),
            held_out=16,
            side=32,
            coarse=(4, 8),
            detail=(4, 8),
            blocks=1,
            critic_width=4,
            steps=12,
            save_every=6,
            batch=8,
            learning_rate=3e-3,
            warmup=2,
            ema=0.5,
            detail_from=3,
            perceptual_weight=0.0,
            adversarial_from=6,
        ),
    ),
}


def data(config: Config) -> tuple[pictures.Pictures, pictures.Pictures]:
    """Return the pictures to train on, and those that are held out."""
    if config.name == "smoke":
        return pictures.both(config, counts=(64, config.held_out), size=config.side)
    whole = pictures.read_folder(config.data_dir, config.side)
    return whole.split(config.held_out, seed=20)


def main(config: Config) -> None:
    """Train network and critic, then measure and write the network's weights and card."""
    job = program.begin("train.unet", config, data)
    judge = networks.load(report.JUDGE) if config.perceptual_weight else None
    classifier = judge and judge.classifier
    features = judge and perceptual.features_of(judge.classifier)
    test = job.test if judge is None else recovery.as_seen(job.test, judge)
    parts, run = build(config)
    draw, critic_step, network_step = make_steps(config, parts, job.placement, features)
    seed = jax.random.key(config.seed + 1)

    def step(run: Run, index: int):
        begun = (config.detail_from, config.perceptual_from, config.adversarial_from)
        asked = Losses(*(index >= first for first in begun))
        real, masks = draw(job.batch(index)[0], jax.random.fold_in(seed, index))
        run, found = network_step(run, real, masks, asked)
        if asked.adversarial:
            run, found["critic"] = critic_step(run, real, masks)
        return run, dict.fromkeys(("hole", "perceptual", "fooling", "critic"), 0.0) | found

    def stored(run: Run, path: Path) -> Infiller:
        """Write the averaged weights; return the infiller that reads them, as users get it."""
        weight_files.save(path, nnx.merge(parts.network, jax.device_get(run.average)))
        return unet(path)

    def evaluate(run: Run, done: int) -> dict[str, float]:
        infill = stored(run, config.out / "latest.npz")
        recovery.show(config.out / "grids" / f"{done:07d}.png", infill, test, report.KINDS)
        row = {}
        for kind in report.KINDS:
            error, probability = recovery.measure(infill, test, kind, classifier)
            row |= {kind: error} | ({f"{kind}_read": probability} if classifier else {})
        return row

    run = job.fit(run, step, evaluate, steps=config.steps, save_every=config.save_every)
    path = config.out / f"unet_{config.name}.npz"
    report.write(job._replace(test=test), stored(run, path), classifier, path)


if __name__ == "__main__":
    program.command(main, CONFIGS)
