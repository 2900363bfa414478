"""Trains the maskers that fidojax ships for Realtime: the evidence for any class, in one pass.

    python -m train.realtime tiny-imagenet40 --data-dir D --out DIR --devices 2
    python -m train.realtime mnist --data-dir D --out DIR
    python -m train.realtime paper --data-dir D --out DIR     # ResNet-50 at 224, an accelerator
    python -m train.realtime smoke --out DIR                  # seconds, synthetic pictures

D holds the TFDS data sets as array_record. A masker reads the features of the one classifier that
it is trained for, which stays as it is. The class selector is trained first, then, with it as it
is, the decoder; DIR/selector and DIR/decoder hold the checkpoints and metrics.csv of each.
`--devices` splits a CPU into that many. Kill it at any time: the same command continues and ends
with the same bits. With every checkpoint DIR/grids shows masks; at its end it writes
realtime_NAME.npz (float16) and its model card realtime_NAME.md into DIR, and `--export` does so at
once with the last checkpoints.
"""

import dataclasses
import math
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import tyro
from flax import nnx
from jax.tree_util import Partial

from fidojax import networks
from fidojax.networks import WIDTHS, RealtimeNetwork, fold, load_masker, weight_files
from fidojax.transforms import feature_pyramid
from fidojax.types import Classifier
from train import pictures
from train.data_parallel import placement
from train.loop import Settings, fit, same_settings
from train.realtime import report
from train.realtime.step import (
    Run,
    make_selector_step,
    make_step,
    optimiser,
    selector_optimiser,
    split,
)


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Settings of one run; the defaults are the authors'."""

    name: str = "imagenet224"
    classifier: str = "keras:ResNet50"
    """What is explained: a name that `fidojax.networks.load` knows."""
    out: Path = Path("runs/realtime_imagenet224")
    validate: int = 256
    """How many of its pictures are measured at each checkpoint; at the end all are."""
    confidence: float = 6.0
    """Of the masks that are shown and measured meanwhile; training itself has 0."""
    save_every: int = 500
    """Steps between checkpoints."""
    export: bool = False
    """Measure and write the last checkpoint, and train no further."""

    widths: tuple[int, ...] = WIDTHS
    """Channels of the decoder's stages, each of which doubles the sides."""
    ratio: int = 4
    """By which the residual block of a stage narrows."""
    crop: tuple[float, float] | None = (0.3, 1.0)
    """Area of random crops, as a share of the picture's."""
    flip: bool = True
    """Mirror each picture with probability one half."""
    weight_decay: float = 1e-4

    selector_steps: int = 8500
    selector_batch: int = 128
    selector_rate: float = 1e-3
    selector_falls: int = 4000
    """Steps after which the selector's rate is a tenth, again and again."""
    selector_fakes: float = 0.5
    """Share of the pictures for which the selector is asked for a class that is not theirs."""

    steps: int = 3000
    """Of the decoder, as all that follows."""
    batch: int = 64
    learning_rate: float = 1e-3
    schedule: str = "constant"
    """"constant" (authors) or "cosine" to 0 after a warm-up."""
    fakes: float = 0.3
    """As `selector_fakes`."""
    objective: str = "code"
    """"code", the hinges of the authors' code, or "paper", whose constants are `--area 1e-3
    --smoothness 10`."""
    area: float = 8.0
    smoothness: float = 0.005
    preserver: float = 0.3
    """Weight of what is kept, in the authors' code."""
    loses: float = 5.0
    """Lead of another class where the class should not be seen, in the authors' code."""
    sigma: float = 11.0
    """Of the blurred pictures that stand where pixels are dropped, in pixels."""


CONFIGS = {
    "paper": ("ResNet-50 on ImageNet, 224 x 224 x 3", Config()),
    "tiny-imagenet40": (
        "the shipped classifier, 64 x 64 x 3",
        Config(
            name="tiny_imagenet40",
            classifier="tiny_imagenet40",
            out=Path("runs/realtime_tiny_imagenet40"),
            widths=(24, 24, 16),
            ratio=2,
            save_every=250,
            selector_steps=750,
            selector_batch=64,
            selector_rate=3e-3,
            selector_falls=500,
            steps=2000,
            batch=32,
            learning_rate=3e-3,
            schedule="cosine",
            preserver=1.0,
            sigma=3.1,  # 11 at 224 pixels
        ),
    ),
    "mnist": (
        "the shipped classifier, 28 x 28 x 1",
        Config(
            name="mnist",
            classifier="mnist",
            out=Path("runs/realtime_mnist"),
            split="test",
            widths=(16,),
            ratio=2,
            crop=None,
            flip=False,
            selector_steps=4000,
            selector_batch=64,
            selector_rate=3e-2,
            selector_falls=3000,
            steps=3000,
            learning_rate=3e-3,
            schedule="cosine",
            area=4.0,  # a digit is larger than an object
            preserver=1.0,
            sigma=3.0,  # by 1.4, in proportion, digits stay legible
        ),
    ),
    "smoke": (
        "a few steps on synthetic pictures, to see the program run",
        Config(
            name="smoke",
            classifier="smoke",
            out=Path("runs/realtime_smoke"),
            widths=(4,),
            ratio=2,
            crop=None,
            flip=False,
            validate=32,
            confidence=0.0,
            save_every=16,
            selector_steps=32,
            selector_batch=32,
            selector_rate=0.3,
            steps=64,
            batch=32,
            learning_rate=3e-2,
            area=4.0,
            sigma=2.0,
        ),
    ),
}


def data(config: Config) -> tuple[pictures.Pictures, pictures.Pictures]:
    """Training pictures and measured pictures."""
    if config.name == "smoke":
        return pictures.synthetic(256, 16, 6, seed=1), pictures.synthetic(64, 16, 6, seed=2)
    return pictures.both(config.data_dir, config.name, config.split)


def explained(config: Config) -> Classifier:
    """The classifier; for synthetic pictures one that sees stripes."""
    if config.classifier != "smoke":
        return networks.load(config.classifier).classifier
    line = jnp.array([[-0.5], [1.0], [-0.5]]) / 3 * jnp.ones((1, 3))
    lines = jnp.stack([line, line.T], axis=-1)  # of both directions
    kernel = jnp.einsum("ijd,cf->ijcdf", lines, jnp.eye(3)).reshape(3, 3, 3, 6)
    return Partial(_stripes, jnp.ones((2, 2, 1, 1)) / 4, kernel)


def _stripes(halve: Any, lines: Any, images: Any) -> Any:
    def conv(x, kernel, stride):
        layout = ("NHWC", "HWIO", "NHWC")
        groups = x.shape[3] // kernel.shape[2]
        return jax.lax.conv_general_dilated(
            x, kernel, (stride,) * 2, "SAME",
            dimension_numbers=layout, feature_group_count=groups,
        )  # fmt: skip

    x = conv(images, jnp.tile(halve, (1, 1, 1, 3)), 2)
    x = conv(nnx.relu(conv(x, lines, 1)), jnp.tile(halve, (1, 1, 1, 6)), 2)
    return 30 * x.mean((1, 2))


def main(config: Config) -> None:
    """Trains, measures and writes the weights and their card."""
    begun = time.time()
    on = placement(config.devices, math.gcd(config.batch, config.selector_batch))
    same_settings(config)
    train, test = data(config)
    classes, some = len(test.names), test.first(config.validate)
    classifier = jax.device_put(explained(config), on.replicated)

    # The features are evaluated abstractly, for their channels.
    one = jax.ShapeDtypeStruct((1, *train.images.shape[1:]), jnp.float32)
    levels = jax.eval_shape(feature_pyramid.features, classifier, one)
    if len(levels) <= len(config.widths):
        raise ValueError(
            f"--widths {config.widths} needs features at {len(config.widths) + 1} resolutions, "
            f"{config.classifier} has {len(levels)}"
        )
    channels = tuple(level.shape[3] for level in levels[: len(config.widths) + 1])
    network = RealtimeNetwork(
        classes, channels, config.widths, config.ratio, rngs=nnx.Rngs(config.seed)
    )
    graph, selector, decoder, stats = split(network)

    def batch(size: int, index: int) -> tuple[jax.Array, jax.Array]:
        rows = pictures.rows(len(train.labels), size, config.seed, index)
        return jax.device_put((train.images[rows], train.labels[rows]), on.spread)

    def masker(selector: Any, run: Run, path: Path):
        """As a user gets it: stored and read again."""
        parts = jax.device_get((selector, run.params, run.stats))
        weight_files.save(path, fold(nnx.merge(graph, *parts, copy=True)))
        return load_masker(path)

    def evaluate(run: Run, done: int, selector: Any, begun: float) -> dict[str, float]:
        now = masker(selector, run, config.out / "latest.npz")
        given = (now, classifier, some, config.confidence)
        report.show(config.out / "grids" / f"{done:06d}.png", *given)
        own = report.measured(*given, config.sigma)
        other = report.measured(*given, config.sigma, own=False)
        row = own | {"other_covered": other["covered"], "other_exists": other["exists"]}
        return row | {"seconds": time.time() - begun}

    print(
        f"{config.name}: {len(train.labels)} pictures, {config.selector_steps} + {config.steps} "
        f"steps, {on.count} devices"
    )
    first = make_selector_step(config, graph, decoder, stats, classes, on.replicated)
    chosen: Any = fit(
        on.copied(Run(selector, (), selector_optimiser(config).init(selector))),
        lambda run, i: first(run, classifier, *batch(config.selector_batch, i), jnp.int32(i)),
        steps=0 if config.export else config.selector_steps,
        directory=config.out / "selector",
        save_every=config.save_every,
        evaluate=lambda run, done: {"seconds": time.time() - begun},
        title=f"{config.name}: selector",
    ).params
    halfway = time.time()
    second = make_step(config, graph, classes, on.replicated)
    run = fit(
        on.copied(Run(decoder, stats, optimiser(config).init(decoder))),
        lambda run, i: second(run, chosen, classifier, *batch(config.batch, i), jnp.int32(i)),
        steps=0 if config.export else config.steps,
        directory=config.out / "decoder",
        save_every=config.save_every,
        evaluate=lambda run, done: evaluate(run, done, chosen, halfway),
        title=f"{config.name}: decoder",
    )
    command = "python -m train.realtime " + shlex.join(sys.argv[1:])
    path = config.out / f"realtime_{config.name}.npz"
    found = masker(chosen, run, path)
    report.write(config, found, classifier, path, test, command, len(train.labels))


if __name__ == "__main__":
    main(tyro.extras.overridable_config_cli(CONFIGS))
