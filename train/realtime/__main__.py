"""Train the maskers that fidojax ships for Realtime: the evidence for any class in one pass.

    python -m train.realtime tiny-imagenet40 --data-dir D --out DIR --devices 2
    python -m train.realtime mnist --data-dir D --out DIR
    python -m train.realtime paper --data-dir D --out DIR     # ResNet-50 at 224, an accelerator
    python -m train.realtime smoke --out DIR                  # seconds, synthetic pictures

D is a folder of TFDS data sets as array_record. A masker reads the features of the one classifier
that it is trained for, whose weights stay fixed. The class selector is trained first, then the
decoder with the selector fixed; DIR/selector and DIR/decoder hold the checkpoints and metrics.csv
of each. `--devices` splits a CPU into that many devices. A run may be killed at any time: the same
command continues it, with the same bits in the end. Every checkpoint of the decoder adds a page of
masks to DIR/grids. The end of the run, or `--export` at any time, writes the weights
realtime_NAME.npz (float16) and their model card realtime_NAME.md into DIR.
"""

import dataclasses
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial

from fidojax import networks
from fidojax.networks import REALTIME_WIDTHS, RealtimeNetwork, fold, load_masker, weight_files
from fidojax.transforms import feature_pyramid
from fidojax.types import Classifier, Masker
from train import pictures, program
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
class Config(program.Settings):
    """The settings of a run; the defaults are the authors'."""

    name: str = "imagenet224"
    classifier: str = "keras:ResNet50"
    """The classifier to explain, as `fidojax.networks.load` takes it."""
    out: Path = Path("runs/realtime_imagenet224")
    validate: int = 256
    """Number of the split's pictures measured at each checkpoint; at the end all are."""
    confidence: float = 6.0
    """Confidence of the masks shown and measured at checkpoints; training itself uses 0."""
    save_every: int = 500
    """Steps between checkpoints."""

    widths: tuple[int, ...] = REALTIME_WIDTHS
    """Channels of the decoder's stages, each of which doubles the resolution."""
    ratio: int = 4
    """Factor by which the residual block of a stage has fewer channels."""
    crop: tuple[float, float] | None = (0.3, 1.0)
    """Range of the random crops' area, as a share of the picture's; None for no crops."""
    flip: bool = True
    """Mirror each picture with probability one half."""
    weight_decay: float = 1e-4

    selector_steps: int = 8500
    selector_batch: int = 128
    selector_rate: float = 1e-3
    selector_falls: int = 4000
    """Steps after each of which the selector's learning rate falls to a tenth."""
    selector_fakes: float = 0.5
    """Share of the pictures for which the selector is asked for another class than their own."""

    steps: int = 3000
    """Steps of the decoder; all following settings are the decoder's too."""
    batch: int = 64
    learning_rate: float = 1e-3
    schedule: str = "constant"
    """"constant" (authors) or "cosine" to 0 after a warm-up."""
    fakes: float = 0.3
    """Share of the pictures for which a mask of another class than their own is asked."""
    objective: str = "code"
    """"code", the hinges of the authors' code, or "paper", whose constants are `--area 1e-3
    --smoothness 10`."""
    area: float = 8.0
    """Weight of the mask's area."""
    smoothness: float = 0.005
    """Weight of the mask's total variation."""
    preserver: float = 0.3
    """Weight of the loss on the kept pixels, for the objective "code"."""
    loses: float = 5.0
    """Lead that another class must have where the class should not be seen, for "code"."""
    sigma: float = 11.0
    """Standard deviation, in pixels, of the blur that replaces dropped pixels."""


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
            sigma=3.0,  # under 1.4, the proportional value, digits stay legible
        ),
    ),
    "smoke": (
        "a short run on synthetic pictures, as a test",
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
    """Return the pictures to train on, and those that are measured."""
    return pictures.both(config, counts=(256, 64), size=16)


def explained(config: Config) -> Classifier:
    """Return the classifier; for synthetic pictures one that detects stripes."""
    if config.classifier != "smoke":
        return networks.load(config.classifier).classifier
    line = jnp.array([[-0.5], [1.0], [-0.5]]) / 3 * jnp.ones((1, 3))
    lines = jnp.stack([line, line.T], axis=-1)  # of both directions
    kernel = jnp.einsum("ijd,cf->ijcdf", lines, jnp.eye(3)).reshape(3, 3, 3, 6)
    return Partial(_stripes, jnp.ones((2, 2, 1, 1)) / 4, kernel)


def _stripes(halve: Any, lines: Any, images: Any) -> Any:
    layout = ("NHWC", "HWIO", "NHWC")
    padded = partial(jax.lax.conv_general_dilated, padding="SAME", dimension_numbers=layout)

    def conv(x, kernel, stride):
        groups = x.shape[3] // kernel.shape[2]
        return padded(x, kernel, (stride, stride), feature_group_count=groups)

    x = conv(images, jnp.tile(halve, (1, 1, 1, 3)), 2)
    x = conv(nnx.relu(conv(x, lines, 1)), jnp.tile(halve, (1, 1, 1, 6)), 2)
    return 30 * x.mean((1, 2))


def build(
    config: Config, classifier: Classifier, images: np.ndarray, classes: int
) -> RealtimeNetwork:
    """Return the masker for the classifier's features.

    Args:
        images: pictures of the size that is explained, "n h w c".
        classes: the number of classes.

    Raises:
        ValueError: the decoder has more stages than the classifier has resolutions.
    """
    one = jax.ShapeDtypeStruct((1, *images.shape[1:]), jnp.float32)
    levels = jax.eval_shape(feature_pyramid.features, classifier, one)
    if len(levels) <= len(config.widths):
        raise ValueError(
            f"--widths {config.widths} needs features at {len(config.widths) + 1} resolutions, "
            f"{config.classifier} has {len(levels)}"
        )
    channels = tuple(level.shape[3] for level in levels[: len(config.widths) + 1])
    return RealtimeNetwork(
        classes, channels, config.widths, config.ratio, rngs=nnx.Rngs(config.seed)
    )


def main(config: Config) -> None:
    """Train selector and decoder, then measure and write the masker's weights and card."""
    divisible = math.gcd(config.batch, config.selector_batch)
    job = program.begin("train.realtime", config, data, divisible=divisible)
    replicated, classes = job.placement.replicated, len(job.test.names)
    classifier = jax.device_put(explained(config), replicated)
    network = build(config, classifier, job.train.images, classes)
    graph, selector, decoder, stats = split(network)

    # Phase 1: the selector, with the decoder's first weights fixed.
    first = make_selector_step(config, graph, decoder, stats, classes, replicated)

    def selector_step(run: Run, index: int):
        batch = job.batch(index, config.selector_batch)
        return first(run, classifier, *batch, jnp.int32(index))

    run = Run(selector, (), selector_optimiser(config).init(selector))
    run = job.fit(
        run,
        selector_step,
        lambda run, done: {},
        steps=config.selector_steps,
        save_every=config.save_every,
        phase="selector",
    )
    selector = run.params

    # Phase 2: the decoder, with the trained selector fixed.
    second = make_step(config, graph, classes, replicated)

    def decoder_step(run: Run, index: int):
        return second(run, selector, classifier, *job.batch(index), jnp.int32(index))

    def stored(run: Run, path: Path) -> Masker:
        """Write the weights; return the masker that reads them, as users get it."""
        parts = jax.device_get((selector, run.params, run.stats))
        weight_files.save(path, fold(nnx.merge(graph, *parts, copy=True)))
        return load_masker(path)

    some = job.test.first(config.validate)

    def evaluate(run: Run, done: int) -> dict[str, float]:
        given = (stored(run, config.out / "latest.npz"), classifier, some, config.confidence)
        report.show(config.out / "grids" / f"{done:06d}.png", *given)
        own = report.measured(*given, config.sigma)
        other = report.measured(*given, config.sigma, own=False)
        return own | {"other_covered": other["covered"], "other_exists": other["exists"]}

    run = job._replace(started=time.time()).fit(
        Run(decoder, stats, optimiser(config).init(decoder)),
        decoder_step,
        evaluate,
        steps=config.steps,
        save_every=config.save_every,
        phase="decoder",
    )
    path = config.out / f"realtime_{config.name}.npz"
    report.write(job, stored(run, path), classifier, path)


if __name__ == "__main__":
    program.command(main, CONFIGS)
