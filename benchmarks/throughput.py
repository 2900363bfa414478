"""Compare the speed of a FIDO step with a plain PyTorch one on the same network and weights.

    python -m benchmarks.throughput --clock cpu --json throughput.json
    python -m benchmarks.throughput --networks keras:MobileNetV2 --weights FILE --batches 1 4
    python -m benchmarks.throughput --smoke

It needs the extra `[torch]`. The steps and the bare gradients of fidojax and of PyTorch, there in
NCHW and in channels-last, run alternately; the faster layout counts. The speed of the whole engine,
its memory and its compilation are measured by `fidojax bench`. The figures are in
benchmarks/RESULTS.md.
"""

import dataclasses
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import tyro
from rich.console import Console

from benchmarks import machine
from benchmarks.networks import Network, load
from benchmarks.throughput_report import ThroughputRow, reason, table
from fidojax import presets
from fidojax.bench import Work, interleaved, paired
from fidojax.engine import Spread, cores, prepared, split_cpu
from infillers.mean import mean

MISSING = "PyTorch is not installed; install fidojax[torch]"


@dataclasses.dataclass(frozen=True)
class Config:
    """Time FIDO's step and PyTorch's, and print one row per network and batch size."""

    networks: tuple[str, ...] = ("tiny_imagenet40", "keras:MobileNetV2", "mnist")
    """Networks, as `benchmarks.networks.load` takes them."""
    batches: tuple[int, ...] = (1, 4, 16)
    """Images per step."""
    weights: Path | None = None
    """Weights file of the Keras networks; random weights if not given."""
    preset: Literal["fast", "paper"] = "fast"
    """The preset, which gives the number of masks per step."""
    repeats: int = 5
    """Steps per round, each followed by all other calls."""
    rounds: int = 3
    """Number of rounds, of which the one with the lowest median counts."""
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: the process's CPU time over all threads, for a machine with other work."""
    spread: bool = False
    """Also measure a step whose evaluations are divided among the cores, alternately."""
    json: Path | None = None
    """Also write the results here."""
    smoke: bool = False
    """Run the smallest benchmark that uses everything, in seconds."""


def measure(config: Config) -> Iterator[ThroughputRow]:
    """Yield the rows, each when it is measured."""
    for name in config.networks:
        network = load(name, config.weights)
        for images in config.batches:
            yield from _measure(config, name, network, images)


def _measure(config: Config, name: str, network: Network, images: int) -> list[ThroughputRow]:
    from benchmarks.peers import torch_fido, torch_networks

    pictures = np.random.default_rng(0).random((images, *network.size), np.float32)
    preset = presets.PRESETS[config.preset]
    classifier = prepared(network.classifier)
    work = Work("fido", classifier, pictures, {"infill": mean(), **preset})
    works = {name: work}
    if config.spread:  # every core is a device
        devices = jax.local_devices()
        works = {
            name: work._replace(devices=devices[:1]),
            f"{name}, spread": work._replace(devices=Spread(devices)),
        }
    here = list(map(paired, works.values()))
    module = torch_networks.NETWORKS[name](network.arrays)
    color = np.full(network.size[2], 0.45, np.float32)
    options = torch_fido.PAPER | preset
    there = [
        torch_fido.Fido(module, pictures, np.zeros(images, np.int32), color, layout, options)
        for layout in torch_fido.LAYOUTS
    ]
    calls = [call for pair in here for call in (pair.step, pair.gradient)]
    for fido in there:
        calls += [fido.step, fido.gradient]
    taken = interleaved(calls, config.repeats, config.rounds, config.clock)
    ours, theirs = taken[: 2 * len(here)], taken[2 * len(here) :]
    best = min(zip(theirs[::2], theirs[1::2], torch_fido.LAYOUTS, strict=True))
    return [
        ThroughputRow(name, images, pair.masks, step / pair.steps, gradient / pair.steps, *best)
        for name, pair, step, gradient in zip(works, here, ours[::2], ours[1::2], strict=True)
    ]


def main(config: Config) -> list[ThroughputRow]:
    """Measure, print, and write the file of `--json`."""
    if importlib.util.find_spec("torch") is None:
        sys.exit(MISSING)
    if config.smoke:
        config = dataclasses.replace(config, networks=("mnist",), batches=(2,), repeats=1, rounds=1)
    if config.spread:
        split_cpu(cores())
    console = Console()
    rows = []
    for row in measure(config):
        rows.append(row)
        console.print(reason(row))
    console.print(table(rows))
    if config.json:
        found = [dataclasses.asdict(row) for row in rows]
        machine.save(config.json, machine.description(config), found)
        console.print(f"wrote {config.json}")
    return rows


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
