"""How fast are the methods here beside PyTorch, Captum and Quantus, on the same network?

    python -m benchmarks.peers --data-dir DATA --clock cpu --threads 1 --json peers.json
    python -m benchmarks.peers --smoke

Plain PyTorch versions of FIDO, BBMP and Extremal Perturbation (`benchmarks.peers.torch_fido`,
`benchmarks.peers.torch_methods`), Captum's integrated gradients, occlusion and Grad-CAM, and Quantus's
pixel flipping, on the same weights, pictures, classes and options. Both sides choose their best
form first, of several numbers of pictures at once, there also of NCHW and channels-last. Then they
run in turn; a row's ratio is the median over the rounds of there / here. Where nothing is drawn the
maps are compared, too. It needs the extra `[peers]`, in an environment of its own, since Quantus
fails with NumPy 2.4. Without a data set the pictures are random. The figures are in
benchmarks/RESULTS.md.
"""

import copy
import dataclasses
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import tyro
from rich.console import Console

from benchmarks import networks
from benchmarks.paired import agreement, fastest, ratio
from benchmarks.peers import quantus_flipping
from benchmarks.peers.peer_report import PeerRow, markdown
from fidojax.core import check_count, check_name
from fidojax.networks import SHIPPED, Pretrained
from fidojax.runs import about
from fidojax.transforms import cpu

if TYPE_CHECKING:
    from benchmarks.peers.peer_rows import Pair, Side

PEERS = ("torch", "captum", "quantus")
MISSING = (
    "{} is not installed; install fidojax[peers] in an environment of its own, since Quantus needs"
    " NumPy below 2.4"
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Time the methods beside their peers, and compare the maps."""

    network: Literal["tiny_imagenet40", "mnist", "resnet18"] = "tiny_imagenet40"
    """On both sides with the same weights; resnet18's are random, and it has no Grad-CAM."""
    images: str = "tfds:tiny_imagenet40/validation"
    """A set of pictures, as `fidojax.data.pictures` takes it; random ones where it is not there."""
    data_dir: Path | None = None
    """Where TFDS sets lie prepared."""
    pictures: int = 8
    rows: tuple[str, ...] = ()
    """All of `benchmarks.peers.peer_rows.pairs` if not given."""
    batches: tuple[int, ...] = (1, 2, 8)
    """Pictures at once that both sides choose from."""
    fido_steps: int = 4
    """Steps of FIDO, with 8 masks each."""
    steps: int = 30
    """Steps of BBMP and of Extremal Perturbation."""
    points: int = 30
    """Points of integrated gradients, and steps of pixel flipping."""
    chunk: int = 16
    """Versions of a picture at once, where they are known beforehand."""
    rounds: int = 5
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: the process's CPU time over all threads, for a machine that is busy with other work."""
    threads: int | None = None
    """Cores that this process may use, both sides alike; all it has when None."""
    compile: bool = False
    """Let PyTorch choose `torch.compile`, too, for all but Grad-CAM."""
    json: Path | None = None
    """Also write the results here."""
    smoke: bool = False
    """The smallest run that touches everything."""


def measure(config: Config) -> Iterator[PeerRow]:
    """The rows, one by one."""
    from benchmarks.peers import peer_rows

    network = networks.load(config.network)
    classifier = cpu.fast(network.classifier) if jax.default_backend() == "cpu" else (
        network.classifier
    )  # fmt: skip
    chosen = quantus_flipping.Config(
        images=config.images, data_dir=config.data_dir, pictures=config.pictures
    )
    shown = Pretrained(config.network, network.classifier, (), network.size)
    work = quantus_flipping.work(chosen, shown)
    sides = _sides(config, network)
    sizes = peer_rows.Sizes(config.fido_steps, config.steps, config.points, config.chunk)
    classes = int(classifier(work.images[:1]).shape[-1])
    known = peer_rows.pairs(network.size, classes, sizes)
    if next(iter(sides.values())).layer is None:
        del known["grad_cam"]
    for name in config.rows:
        check_name("rows", name, known)
    for name in config.rows or known:
        yield _row(config, known[name], classifier, work, sides)


def _row(config: Config, pair: "Pair", classifier, work, sides: dict[str, "Side"]) -> PeerRow:
    from benchmarks.peers.peer_rows import in_parts

    batches = sorted({min(batch, config.pictures) for batch in config.batches})
    here = {
        f"{batch} at once": lambda batch=batch: pair.here(classifier, work, batch)
        for batch in batches
    }
    there = {
        f"{batch} at once, {form}": lambda side=side, batch=batch: in_parts(
            pair.there, side, work, batch
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
    """The network in PyTorch in every form that it may run in."""
    torch: Any = importlib.import_module("torch")
    from benchmarks.peers.peer_rows import Side
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
    """What the call returns, and the pictures that went through any of the modules meanwhile."""
    seen = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        for module in modules
    ]
    result = call()
    for hook in hooks:
        hook.remove()
    return result, sum(seen)


def use_cores(threads: int) -> None:
    """Keep this process to so many of its cores; XLA makes a thread for each when it starts."""
    check_count(threads=threads)
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("threads: this system does not let a process choose its cores")
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise SystemExit(
            f"threads is {threads}, expected at most {len(cores)}, the cores there are"
        )
    os.sched_setaffinity(0, cores[:threads])


def main(config: Config) -> list[PeerRow]:
    """Measure, print, and write the file that was asked for."""
    for name in PEERS:
        if importlib.util.find_spec(name) is None:
            raise SystemExit(MISSING.format(name))
    if config.smoke:
        config = dataclasses.replace(
            config, network="mnist", images="tfds:absent/test", pictures=2, batches=(2,),
            fido_steps=2, steps=3, points=4, rounds=1,
        )  # fmt: skip
    if config.threads:
        use_cores(config.threads)
    torch: Any = importlib.import_module("torch")
    console, rows = Console(), []
    for row in measure(config):
        rows.append(row)
        console.print(f"{row.name}: {row.ratio:.2f} times the speed of {row.peer}")
    chosen = {k: v for k, v in dataclasses.asdict(config).items() if k not in ("json", "data_dir")}
    facts = about(chosen)
    facts["versions"] |= {name: metadata.version(name) for name in PEERS}
    gpu = torch.cuda.is_available()
    facts["torch"] = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} threads"
    facts["command"] = " ".join(["python", "-m", "benchmarks.peers", *sys.argv[1:]])
    console.print(markdown(rows, facts), markup=False, soft_wrap=True)
    if config.json:
        written = {"about": facts, "rows": [dataclasses.asdict(row) for row in rows]}
        config.json.write_text(json.dumps(written, indent=1) + "\n")
    return rows


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
