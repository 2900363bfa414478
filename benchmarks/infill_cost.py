"""Measure what an evaluation of FIDO costs with each infiller, beside the bare gradient.

    python -m benchmarks.infill_cost --infill mean blur vae ca --clock cpu
    python -m benchmarks.infill_cost --smoke

A step of FIDO fills 8 pictures under 8 masks each and takes the gradient of the class's score; the
floor is the gradient of the classifier alone on as many pictures. Steps and floors of all infillers
run in turn, so that the ratios stand on a busy machine. Memory is the peak of temporary values of
the compiled step by its own analysis, of all calls that run at a time.
"""

import dataclasses
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tyro
from rich.console import Console

from benchmarks import machine
from eval.report import terminal_table
from fidojax import networks, presets
from fidojax.bench import Work, interleaved, paired, temporary_bytes
from fidojax.engine import prepared
from infillers import make_infill


@dataclasses.dataclass(frozen=True)
class Config:
    """Time a step of FIDO with each infiller."""

    infill: tuple[str, ...] = ("mean", "blur", "local", "road", "vae", "ca")
    """Infillers, NAME or NAME:OPTION=VALUE."""
    network: str = "efficientnet_lite0"
    """The network, as `fidojax.networks.load` takes it."""
    weights: Path | None = None
    """A weights file instead of the shipped one."""
    pictures: int = 8
    masks: int = 8
    """Masks per picture and step."""
    repeats: int = 3
    """Steps per round, each followed by all other calls."""
    rounds: int = 2
    """Number of rounds, of which the one with the lowest median counts."""
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: the process's CPU time over all threads, for a machine with other work."""
    json: Path | None = None
    """Also write the results here."""
    smoke: bool = False
    """Run the smallest benchmark that uses everything, in seconds."""


class InfillCost(NamedTuple):
    """What an evaluation, one picture under one mask, costs.

    Attributes:
        infill: the name.
        seconds: of an evaluation in a step of FIDO.
        floor: of the bare gradient of a picture.
        ratio: seconds / floor.
        temporary_mb: the step's temporary memory; None where the backend does not report it.
        bare_mb: that of the bare gradient of as many pictures.
    """

    infill: str
    seconds: float
    floor: float
    ratio: float
    temporary_mb: float | None
    bare_mb: float | None

    def line(self) -> dict[str, str]:
        """A line of the table."""
        return {
            "infill": self.infill,
            "ms per evaluation": f"{1e3 * self.seconds:.2f}",
            "bare": f"{1e3 * self.floor:.2f}",
            "ratio": f"{self.ratio:.2f}",
            "MB": _text(self.temporary_mb),
            "bare MB": _text(self.bare_mb),
        }


def measure(config: Config) -> list[InfillCost]:
    """Measure all infillers together."""
    network = networks.load(config.network, config.weights)
    classifier = prepared(network.classifier)
    pictures = np.random.default_rng(0).random((config.pictures, *network.size), np.float32)
    options = {**presets.fast, "samples": config.masks}
    works = [
        Work("fido", classifier, pictures, {**options, "infill": make_infill(name)})
        for name in config.infill
    ]
    pairs = [paired(work) for work in works]
    calls = [call for pair in pairs for call in (pair.step, pair.gradient)]
    taken = interleaved(calls, config.repeats, config.rounds, config.clock)
    found = []
    for name, work, pair, step, floor in zip(
        config.infill, works, pairs, taken[::2], taken[1::2], strict=True
    ):
        memory = temporary_bytes(work)
        count = pair.masks * pair.steps
        own = [None if each is None else each / 1e6 for each in memory]
        found.append(InfillCost(name, step / count, floor / count, step / floor, *own))
    return found


def main(config: Config) -> list[InfillCost]:
    """Measure, print, and write the file of `--json`."""
    if config.smoke:
        config = dataclasses.replace(
            config, infill=("mean", "blur"), network="mnist", pictures=2, masks=2, repeats=1,
            rounds=1,
        )  # fmt: skip
    console = Console()
    rows = measure(config)
    title = f"{config.network}, {config.pictures} pictures x {config.masks} masks"
    console.print(terminal_table([row.line() for row in rows], title))
    about = machine.description(config)
    console.print(machine.sentence(about, f"{config.clock} clock"), soft_wrap=True)
    if config.json:
        machine.save(config.json, about, [row._asdict() for row in rows])
        console.print(f"wrote {config.json}")
    return rows


def _text(megabytes: float | None) -> str:
    return "" if megabytes is None else f"{megabytes:.0f}"


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
