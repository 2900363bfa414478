"""How fast is a FIDO step beside a plain PyTorch one, on the same network and weights?

    python -m benchmarks.throughput --clock cpu --json throughput.json
    python -m benchmarks.throughput --networks keras:MobileNetV2 --weights FILE --batches 1 4
    python -m benchmarks.throughput --smoke

It needs the extra `[torch]`. A step here, the bare gradient here, and both of PyTorch in NCHW and
in channels-last run in turn; the better layout counts. What PyTorch does not do beside, the whole
engine, its memory and its compilation, `fidojax bench` measures. The figures are in
benchmarks/RESULTS.md.
"""

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import tyro
from rich.console import Console

from benchmarks.networks import Network, load
from benchmarks.throughput_report import ThroughputRow, reason, table
from fidojax import presets
from fidojax.bench import Work, interleaved, paired
from fidojax.engine import Spread, cores, prepared, split_cpu
from fidojax.runs import about
from infillers.mean import mean

MISSING = "PyTorch is not installed; install fidojax[torch]"


@dataclasses.dataclass(frozen=True)
class Config:
    """Time FIDO's step beside PyTorch's, and print one row per network and batch size."""

    networks: tuple[str, ...] = ("tiny_imagenet40", "keras:MobileNetV2", "mnist")
    """What `benchmarks.networks.load` takes."""
    batches: tuple[int, ...] = (1, 4, 16)
    """Images per step."""
    weights: Path | None = None
    """Weights file of the Keras networks; random weights if not given."""
    preset: Literal["fast", "paper"] = "fast"
    """Sets the masks per step."""
    repeats: int = 5
    """Steps, and all others in turn with them, per round."""
    rounds: int = 3
    """The lowest median of so many rounds counts."""
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: the process's CPU time over all threads, for a machine that is busy with other work."""
    spread: bool = False
    """Measure beside it, in turn with it, a step whose evaluations are divided among the cores."""
    json: Path | None = None
    """Also write the results here."""
    smoke: bool = False
    """The smallest run that touches everything, in seconds."""


def measure(config: Config) -> Iterator[ThroughputRow]:
    """The rows, one by one."""
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
    options = {"lam": 1e-3, "tv": 0.01, "temperature": 0.1, "learning_rate": 0.05, "b2": 0.999,
               "antithetic": False, "samples": 8, **preset}  # fmt: skip
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
    """Measure, print, and write the file that was asked for."""
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
        chosen = {
            k: v for k, v in dataclasses.asdict(config).items() if k not in ("json", "weights")
        }
        result = {"about": about(chosen), "rows": [dataclasses.asdict(row) for row in rows]}
        config.json.write_text(json.dumps(result, indent=1) + "\n")
        console.print(f"wrote {config.json}")
    return rows


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
