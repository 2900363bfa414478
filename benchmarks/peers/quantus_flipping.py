"""Compare the speed of pixel flipping with Quantus's on the same network, pictures and maps.

    python -m benchmarks.peers.quantus_flipping --clock cpu --data-dir DATA --json flipping.json
    python -m benchmarks.peers.quantus_flipping --smoke

Pixels become black, the highest of a map first, and the class's probability is recorded after every
step: by `fidojax.metrics.deletion`, and by `quantus.PixelFlipping` on the same weights in PyTorch.
It needs the extra `[quantus]` in a separate environment, since Quantus fails with NumPy 2.4.
Without a data set the pictures are random.

Quantus ranks all h w c values of a picture and flips the same number in each step. Here it gets
the map once per channel and c times the values per step, so that the colours of a pixel go
together. Its check that the step divides h w, which no such step does on three channels, is left
out. Its 100 steps have 41 pixels each and the last one the rest, those of `deletion` 40.96,
rounded; its curve is therefore compared with that of `fidojax.metrics.removal` at stride 41.
"""

import dataclasses
import importlib.util
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from jaxtyping import Float
from rich.console import Console
from rich.table import Table

import infillers
from benchmarks import machine
from benchmarks.peers.work import Work, load
from fidojax import networks
from fidojax.bench import interleaved
from fidojax.engine import measure_batch
from fidojax.transforms import cpu
from fidojax.types import Classifier

MISSING = (
    "quantus is not installed; install fidojax[quantus] in a separate environment,"
    " since it needs NumPy below 2.4"
)
METRICS = ("deletion", "removal")
Curves = Float[np.ndarray, "n points"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Time pixel flipping in fidojax and in Quantus, and compare the curves."""

    network: Literal["tiny_imagenet40", "mnist"] = "tiny_imagenet40"
    """A shipped network; PyTorch gets the same weights."""
    images: str = "tfds:tiny_imagenet40/validation"
    """A set of pictures, as `fidojax.data.pictures` takes it; random ones where it is missing."""
    data_dir: Path | None = None
    """Folder of TFDS data sets."""
    pictures: int = 100
    quantus_pictures: int | None = None
    """Quantus gets only the first ones of them; its time counts per picture."""
    steps: int = 100
    batch_size: int | None = None
    """Pictures per compiled call of fidojax; `measure_batch` chooses if not given."""
    chunk: int = 16
    """Points of each picture's curve that the classifier sees at once in fidojax."""
    quantus_batch: int = 64
    """Pictures per batch of Quantus, its default."""
    repeats: int = 3
    rounds: int = 1
    """Number of rounds, of which the one with the lowest median counts."""
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: the process's CPU time over all threads, for a machine with other work."""
    json: Path | None = None
    """Also write the results here."""
    smoke: bool = False
    """Run the smallest benchmark that uses everything, in seconds."""


@dataclasses.dataclass(frozen=True)
class Result:
    """Seconds per picture, and the difference of the curves.

    Attributes:
        deletion, removal: seconds of the two metrics of fidojax.
        quantus: seconds of Quantus.
        ratio: quantus / deletion, the speed of `deletion` over Quantus's.
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


def fidojax_curves(
    metric: str,
    classifier: Classifier,
    work: Work,
    *,
    steps: int,
    chunk: int,
    batch_size: int | None = None,
) -> Curves:
    """Return the curves of all pictures by fidojax, with the original picture first."""
    counted = {"steps": steps}
    if metric == "removal":
        counted = {"stride": -(-work.maps[0].size // steps)}
    options = {"infill": infillers.mean(0.0), "score": "probability", "chunk": chunk, **counted}
    given = (classifier, work.images, work.targets, work.maps)
    return measure_batch(metric, *given, options=options, batch_size=batch_size).curve


def quantus_curves(network: Any, work: Work, device: str, *, steps: int, batch_size: int) -> Curves:
    """Return the curves of all pictures by Quantus, which leaves out the original picture."""
    quantus: Any = importlib.import_module("quantus")

    class Flipping(quantus.PixelFlipping):
        def custom_preprocess(self, x_batch, **kwargs) -> None:
            """Leave out the check of the step."""

    images = np.ascontiguousarray(np.moveaxis(work.images, -1, 1))
    pixels, channels = work.maps[0].size, images.shape[1]
    flipping = Flipping(
        features_in_step=channels * -(-pixels // steps),
        perturb_baseline=0.0,
        normalise=False,
        abs=False,
        disable_warnings=True,
    )
    curves = flipping(
        model=network,
        x_batch=images,
        y_batch=work.targets,
        a_batch=np.repeat(work.maps[:, None], channels, axis=1),
        channel_first=True,
        softmax=True,
        device=device,
        batch_size=batch_size,
    )
    return np.array(curves, np.float32)


def main(config: Config) -> Result:
    """Measure, print, and write the file of `--json`."""
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
    work = load(
        shipped.classifier,
        shipped.size,
        images=config.images,
        data_dir=config.data_dir,
        count=config.pictures,
    )
    options = {"steps": config.steps, "chunk": config.chunk, "batch_size": config.batch_size}
    here = {name: partial(fidojax_curves, name, classifier, work, **options) for name in METRICS}
    there = partial(
        quantus_curves,
        network,
        work.part(0, config.quantus_pictures or config.pictures),
        device,
        steps=config.steps,
        batch_size=config.quantus_batch,
    )
    curves = there()
    own, its = len(work.images), len(curves)
    difference = float(np.abs(here["removal"]()[:its, 1:] - curves).max())
    seconds = interleaved([*here.values(), there], config.repeats, config.rounds, config.clock)
    deleting, removing, flipping = seconds[0] / own, seconds[1] / own, seconds[2] / its
    result = Result(
        source=work.source,
        pictures=own,
        quantus_pictures=its,
        steps=curves.shape[1],
        deletion=deleting,
        removal=removing,
        quantus=flipping,
        ratio=flipping / deleting,
        difference=difference,
    )
    facts = machine.description(config)
    facts["versions"]["quantus"] = metadata.version("quantus")
    facts["torch"] = f"{device}, {torch.get_num_threads()} threads"
    _print(Console(), result, facts)
    if config.json:
        machine.save(config.json, facts, [dataclasses.asdict(result)])
    return result


def _print(console: Console, result: Result, facts: dict[str, Any]) -> None:
    rows = {
        "fidojax deletion": result.deletion,
        "fidojax removal": result.removal,
        "Quantus PixelFlipping": result.quantus,
    }
    table = Table("", "ms per picture", "x", title=f"{result.steps} steps, {result.source}")
    for name, seconds in rows.items():
        table.add_row(name, f"{1e3 * seconds:.1f}", f"{result.quantus / seconds:.2f}")
    console.print(table)
    console.print(
        f"{result.pictures} pictures in fidojax, {result.quantus_pictures} in Quantus; the curves"
        f" differ by at most {result.difference:.1e}"
    )
    console.print(machine.sentence(facts, f"PyTorch on {facts['torch']}"))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
