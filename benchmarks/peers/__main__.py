"""Compare the speed of the methods with PyTorch, Captum and Quantus on the same network.

    python -m benchmarks.peers --data-dir DATA --clock cpu --threads 1 --json peers.json
    python -m benchmarks.peers --smoke

Plain PyTorch versions of FIDO, BBMP and Extremal Perturbation (`benchmarks.peers.torch_fido`,
`benchmarks.peers.torch_methods`), Captum's integrated gradients, occlusion and Grad-CAM, and
Quantus's pixel flipping run on the same weights, pictures, classes and options. First each side
chooses its fastest form among several batch sizes, the peer also between NCHW and channels-last.
Then both run alternately; a row's ratio is the median over the rounds of the peer's time over
fidojax's. Where no random numbers are drawn the maps are compared as well. It needs the extra
`[peers]` in a separate environment, since Quantus fails with NumPy 2.4. Without a data set the
pictures are random. The figures are in benchmarks/RESULTS.md.
"""

import copy
import dataclasses
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import tyro
from rich.console import Console

from benchmarks import machine, networks
from benchmarks.paired import agreement, fastest, ratio
from benchmarks.peers.report import PeerRow, markdown
from benchmarks.peers.work import in_parts, load
from fidojax.core import check_name
from fidojax.networks import SHIPPED
from fidojax.transforms import cpu

if TYPE_CHECKING:
    from benchmarks.peers.pairs import Pair, Side

PEERS = ("torch", "captum", "quantus")
MISSING = (
    "{} is not installed; install fidojax[peers] in a separate environment, since Quantus needs"
    " NumPy below 2.4"
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Time the methods and their peers, and compare the maps."""

    network: Literal["tiny_imagenet40", "mnist", "resnet18"] = "tiny_imagenet40"
    """The network of both sides; resnet18 has random weights, and no row of Grad-CAM."""
    images: str = "tfds:tiny_imagenet40/validation"
    """A set of pictures, as `fidojax.data.pictures` takes it; random ones where it is missing."""
    data_dir: Path | None = None
    """Folder of TFDS data sets."""
    pictures: int = 8
    rows: tuple[str, ...] = ()
    """Names in `benchmarks.peers.pairs.pairs`; all if not given."""
    batches: tuple[int, ...] = (1, 2, 8)
    """Batch sizes that both sides choose from."""
    fido_steps: int = 4
    """Steps of FIDO, with 8 masks each."""
    steps: int = 30
    """Steps of BBMP and of Extremal Perturbation."""
    points: int = 30
    """Points of integrated gradients, and steps of pixel flipping."""
    chunk: int = 16
    """Versions of a picture at once, for methods that know them beforehand."""
    rounds: int = 5
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: the process's CPU time over all threads, for a machine with other work."""
    threads: int | None = None
    """Number of cores that this process may use, on both sides; all if not given."""
    compile: bool = False
    """Let PyTorch also choose `torch.compile`, except for Grad-CAM."""
    json: Path | None = None
    """Also write the results here."""
    smoke: bool = False
    """Run the smallest benchmark that uses everything."""


def measure(config: Config) -> Iterator[PeerRow]:
    """Yield the rows, each when it is measured."""
    from benchmarks.peers.pairs import Sizes, pairs

    network = networks.load(config.network)
    on_cpu = jax.default_backend() == "cpu"
    classifier = cpu.fast(network.classifier) if on_cpu else network.classifier
    work = load(
        network.classifier,
        network.size,
        images=config.images,
        data_dir=config.data_dir,
        count=config.pictures,
    )
    sides = _sides(config, network)
    sizes = Sizes(config.fido_steps, config.steps, config.points, config.chunk)
    classes = int(classifier(work.images[:1]).shape[-1])
    known = pairs(network.size, classes, sizes)
    if next(iter(sides.values())).layer is None:
        del known["grad_cam"]
    for name in config.rows:
        check_name("rows", name, known)
    for name in config.rows or known:
        yield _row(config, known[name], classifier, work, sides)


def _row(config: Config, pair: "Pair", classifier, work, sides: dict[str, "Side"]) -> PeerRow:
    batches = sorted({min(batch, config.pictures) for batch in config.batches})
    here = {
        f"{batch} at once": lambda batch=batch: pair.here(classifier, work, batch)
        for batch in batches
    }
    there = {
        f"{batch} at once, {form}": lambda side=side, batch=batch: in_parts(
            lambda part: pair.there(side, part), work, batch
        )
        for form, side in sides.items()
        for batch in batches
    }
    ours, theirs = fastest(here, config.clock), fastest(there, config.clock)
    maps, shown = _counted({side.eager for side in sides.values()}, there[theirs])
    correlation, difference = agreement(here[ours](), maps)
    measured = ratio(here[ours], there[theirs], config.rounds, config.clock)
    count = config.pictures
    return PeerRow(
        name=pair.name,
        peer=pair.peer,
        here=measured.here / count,
        there=measured.there / count,
        ratio=measured.median,
        low=measured.low,
        high=measured.high,
        form_here=ours,
        form_there=theirs,
        forwards_here=pair.forwards,
        forwards_there=shown / count,
        correlation=correlation,
        difference=None if pair.random else difference,
    )


def _sides(config: Config, network: networks.Network) -> dict[str, "Side"]:
    """Return the network in PyTorch in all its forms, by name."""
    torch: Any = importlib.import_module("torch")
    from benchmarks.peers.pairs import Side
    from benchmarks.peers.torch_fido import LAYOUTS
    from benchmarks.peers.torch_networks import NETWORKS

    if config.threads:
        torch.set_num_threads(config.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = NETWORKS[config.network](network.arrays).eval().requires_grad_(False).to(device)
    shipped = SHIPPED.get(config.network)
    layer = shipped and shipped.layer
    sides = {}
    for layout, memory_format in LAYOUTS.items():
        eager = copy.deepcopy(module).to(memory_format=memory_format)
        sides[layout] = Side(eager, eager, layout, layer)
        if config.compile:
            sides[f"{layout}, compiled"] = Side(torch.compile(eager), eager, layout, layer)
    return sides


def _counted(modules: set[Any], call: Callable[[], Any]) -> tuple[Any, int]:
    """Return the result of a call and the number of pictures that passed through the modules."""
    seen = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        for module in modules
    ]
    result = call()
    for hook in hooks:
        hook.remove()
    return result, sum(seen)


def main(config: Config) -> list[PeerRow]:
    """Measure, print, and write the file of `--json`."""
    for name in PEERS:
        if importlib.util.find_spec(name) is None:
            raise SystemExit(MISSING.format(name))
    if config.smoke:
        config = dataclasses.replace(
            config,
            network="mnist",
            images="tfds:absent/test",
            pictures=2,
            batches=(2,),
            fido_steps=2,
            steps=3,
            points=4,
            rounds=1,
        )
    if config.threads:
        machine.use_cores(config.threads)
    torch: Any = importlib.import_module("torch")
    console, rows = Console(), []
    for row in measure(config):
        rows.append(row)
        console.print(f"{row.name}: {row.ratio:.2f} times the speed of {row.peer}")
    facts = machine.description(config)
    facts["versions"] |= {name: metadata.version(name) for name in PEERS}
    gpu = torch.cuda.is_available()
    facts["torch"] = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} threads"
    facts["command"] = " ".join(["python", "-m", "benchmarks.peers", *sys.argv[1:]])
    console.print(markdown(rows, facts), markup=False, soft_wrap=True)
    if config.json:
        machine.save(config.json, facts, [dataclasses.asdict(row) for row in rows])
    return rows


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
