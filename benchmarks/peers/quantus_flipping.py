"""How long does pixel flipping take, beside Quantus's, on the same network, pictures and maps?

    python -m benchmarks.peers.quantus_flipping --clock cpu --data-dir DATA --json flipping.json
    python -m benchmarks.peers.quantus_flipping --smoke

Pixels are set to black, the highest of a map first, and the class's probability is read after every
step. Here that is `fidojax.metrics.deletion`, there `quantus.PixelFlipping` on the same weights in
PyTorch. It needs the extra `[quantus]`, in an environment of its own, since Quantus fails with
NumPy 2.4. Without a data set the pictures are random.

Quantus ranks all h w c values of a picture and flips equally many in each step. So it is given the
map once per channel, and c times as many values per step, by which a pixel's colours go together.
Its check that the step divides h w, which no such step does on three channels, is left out. 100 of
its steps have 41 pixels each and the last what is left, where `deletion` has 40.96, rounded; its
curve is therefore compared with that of `fidojax.metrics.removal`, whose stride is 41 too.
"""

import dataclasses
import importlib.util
import json
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import tyro
from jaxtyping import Float, Int
from rich.console import Console
from rich.table import Table

import infillers
from eval.subject import logits
from fidojax import explain_batch, networks
from fidojax.bench import interleaved
from fidojax.core import rank
from fidojax.data import Picture, pictures
from fidojax.engine import measure_batch
from fidojax.runs import about
from fidojax.transforms import cpu
from fidojax.types import Classifier

MISSING = (
    "quantus is not installed; install fidojax[quantus] in an environment of its own,"
    " since it needs NumPy below 2.4"
)
METRICS = ("deletion", "removal")
Curves = Float[np.ndarray, "n points"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Time pixel flipping here and in Quantus, and compare the curves."""

    network: Literal["tiny_imagenet40", "mnist"] = "tiny_imagenet40"
    """Shipped, with its weights in PyTorch."""
    images: str = "tfds:tiny_imagenet40/validation"
    """A set of pictures, as `fidojax.data.pictures` takes it; random ones where it is not there."""
    data_dir: Path | None = None
    """Where TFDS sets lie prepared."""
    pictures: int = 100
    quantus_pictures: int | None = None
    """Quantus gets only so many of them; its time counts for each."""
    steps: int = 100
    batch: int | None = None
    """Pictures per compiled call here; as `measure_batch` chooses when None."""
    chunk: int = 16
    """Points of each picture's curve that the classifier sees at once here."""
    quantus_batch: int = 64
    """Its own default."""
    repeats: int = 3
    rounds: int = 1
    """The lowest median of so many rounds counts."""
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: the process's CPU time over all threads, for a machine that is busy with other work."""
    json: Path | None = None
    """Also write the results here."""
    smoke: bool = False
    """The smallest run that touches everything, in seconds."""


class Work(NamedTuple):
    """What both libraries are given.

    Attributes:
        source: where the pictures are from.
        images: "n h w c" in [0, 1].
        targets: "n", the classes that the network reads in them.
        maps: "n h w", without ties: minus the place of each pixel in the order of the gradient.
    """

    source: str
    images: Float[np.ndarray, "n h w c"]
    targets: Int[np.ndarray, " n"]
    maps: Float[np.ndarray, "n h w"]


@dataclasses.dataclass(frozen=True)
class Result:
    """Seconds per picture, and how far the curves are apart.

    Attributes:
        deletion, removal: of the two metrics here.
        quantus: there.
        ratio: quantus / deletion, how many times faster `deletion` is.
        difference: the largest between any two points of `removal` and Quantus, in probability.
    """

    source: str
    pictures: int
    quantus_pictures: int
    steps: int
    deletion: float
    removal: float
    quantus: float
    ratio: float
    difference: float


def work(config: Config, network: networks.Pretrained) -> Work:
    """Pictures, classes and maps."""
    wanted = pictures([f"{config.images}[:{config.pictures}]"], network.size, config.data_dir)
    found = [picture.image for picture in wanted if isinstance(picture, Picture)]
    if len(found) == config.pictures:
        source, images = config.images, np.stack(found)
    else:
        source = "random pictures"
        images = np.random.default_rng(0).random((config.pictures, *network.size), np.float32)
    targets = logits(network.classifier, images).argmax(1)
    maps = explain_batch("gradient", network.classifier, images, targets, batch_size=1).saliency
    return Work(source, images, targets, -np.asarray(jax.vmap(rank)(maps), np.float32))


def fidojax_curves(config: Config, classifier: Classifier, given: Work, metric: str) -> Curves:
    """Of all pictures, the untouched one first."""
    counted = {"steps": config.steps}
    if metric == "removal":
        counted = {"stride": -(-given.maps[0].size // config.steps)}
    return measure_batch(
        metric, classifier, given.images, given.targets, given.maps, batch=config.batch,
        options={
            "infill": infillers.mean(0.0), "score": "probability", "chunk": config.chunk, **counted,
        },
    ).curve  # fmt: skip


def quantus_curves(config: Config, network: Any, given: Work, device: str) -> Curves:
    """Of the first pictures, without the untouched one, which Quantus leaves out."""
    quantus: Any = importlib.import_module("quantus")

    class Flipping(quantus.PixelFlipping):
        def custom_preprocess(self, x_batch, **kwargs) -> None:
            """Not its check of the step."""

    count = config.quantus_pictures or config.pictures
    images = np.ascontiguousarray(np.moveaxis(given.images[:count], -1, 1))
    pixels, channels = given.maps[0].size, images.shape[1]
    flipping = Flipping(
        features_in_step=channels * -(-pixels // config.steps), perturb_baseline=0.0,
        normalise=False, abs=False, disable_warnings=True,
    )  # fmt: skip
    maps = np.repeat(given.maps[:count, None], channels, axis=1)
    curves = flipping(
        model=network, x_batch=images, y_batch=given.targets[:count], a_batch=maps,
        channel_first=True, softmax=True, device=device, batch_size=config.quantus_batch,
    )  # fmt: skip
    return np.array(curves, np.float32)


def main(config: Config) -> Result:
    """Measure, print, and write the file that was asked for."""
    if importlib.util.find_spec("quantus") is None:
        raise SystemExit(MISSING)
    torch: Any = importlib.import_module("torch")
    from benchmarks.peers import torch_networks

    if config.smoke:
        config = dataclasses.replace(
            config, network="mnist", images="tfds:mnist/test", pictures=3, steps=7, repeats=1
        )
    shipped = networks.load(config.network)
    classifier = cpu.fast(shipped.classifier)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = dict(np.load(networks.WEIGHTS / f"{config.network}.npz"))
    network = torch_networks.NETWORKS[config.network](weights).eval().to(device)
    given = work(config, shipped)
    here = {name: lambda name=name: fidojax_curves(config, classifier, given, name)
            for name in METRICS}  # fmt: skip
    there = quantus_curves(config, network, given, device)
    difference = float(np.abs(here["removal"]()[: len(there), 1:] - there).max())
    seconds = interleaved(
        [*here.values(), lambda: quantus_curves(config, network, given, device)],
        config.repeats, config.rounds, config.clock,
    )  # fmt: skip
    own, its = len(given.images), len(there)
    deleting, removing, flipping = seconds[0] / own, seconds[1] / own, seconds[2] / its
    result = Result(
        given.source, own, its, there.shape[1], deleting, removing, flipping, flipping / deleting,
        difference,
    )  # fmt: skip
    chosen = {**dataclasses.asdict(config), "json": None, "data_dir": None}
    facts = about(chosen)
    facts["versions"]["quantus"] = metadata.version("quantus")
    facts |= {"torch_device": device, "torch_threads": torch.get_num_threads()}
    _print(Console(), result, facts)
    if config.json:
        written = {"about": facts, "result": dataclasses.asdict(result)}
        config.json.write_text(json.dumps(written, indent=1) + "\n")
    return result


def _print(console: Console, result: Result, facts: dict[str, Any]) -> None:
    rows = {"fidojax deletion": result.deletion, "fidojax removal": result.removal,
            "Quantus PixelFlipping": result.quantus}  # fmt: skip
    table = Table("", "ms per picture", "x", title=f"{result.steps} steps, {result.source}")
    for name, seconds in rows.items():
        table.add_row(name, f"{1e3 * seconds:.1f}", f"{result.quantus / seconds:.2f}")
    console.print(table)
    console.print(
        f"{result.pictures} pictures here, {result.quantus_pictures} in Quantus; its curves differ"
        f" by at most {result.difference:.1e}"
    )
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    console.print(
        f"{facts['device']}, {facts['cores']} cores; PyTorch on {facts['torch_device']} with"
        f" {facts['torch_threads']} threads; {versions}; {facts['system']}; {facts['date']}"
    )


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
