"""Measure fidojax on one accelerator: one command, ten minutes, no network.

    python -m benchmarks.gpu --json gpu.json --budget 540
    python -m benchmarks.gpu --json gpu.json --only fido torch
    python -m benchmarks.gpu --smoke

It prints a line for each part and writes the JSON file after each. A second run with the same file
does only what is not there yet, so that a run that was cut short goes on. No part is begun after
`--budget` seconds; those left over are named in the file. The parts, the most wanted first:

    device      the card, the versions, the speed of large matrix products
    fido        pictures and evaluations per second, share of the bare gradient and of the
                matrix product, seconds to compile, of FIDO at the paper's and the default budget
    gaps        how long the device waits for the host during a run
    torch       the same FIDO step and gradient in PyTorch, eager and compiled
    batch       time and memory of a step by the number of pictures, and the size that is chosen
    spread      evaluations divided among the devices, where there are several
    method      every method on the 64 x 64 network

It needs jax for the device, fidojax's dependencies except those of data sets (jaxtyping, flax,
optax, zarr, tyro, docstring-parser, rich, pillow), and PyTorch for the part `torch`, which is left
out without it. All networks of 224 x 224 have random weights.
"""

import dataclasses
import sys
from pathlib import Path

import tyro

from benchmarks import machine
from benchmarks.gpu import parts, report
from benchmarks.gpu.plan import BIG, SMALL, Plan, planned


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure what is not in the file yet, and print it."""

    json: Path = Path("gpu.json")
    """The results, which a later run completes."""
    budget: float = 540.0
    """No part is begun after this number of seconds."""
    only: tuple[str, ...] = ()
    """The first words of the wanted parts, such as "fido"; all if not given."""
    compiled: bool = True
    """Also compile PyTorch's step."""
    smoke: bool = False
    """Rehearse every part on the CPU with the smallest network, in seconds."""


def main(config: Config) -> int:
    """Measure, print, and return 1 where a part failed."""
    sizes: Plan = dataclasses.replace(SMALL if config.smoke else BIG, compiled=config.compiled)
    wanted = [
        part
        for part in planned(sizes)
        if not config.only or part.name.partition("/")[0] in config.only
    ]
    if not wanted:
        raise SystemExit(f"--only: there is no part {' '.join(config.only)}")
    results = parts.Results(config.json, machine.description(config), sizes.description)
    for name, found in parts.carry_out(wanted, results, config.budget):
        print(report.line(name, found), flush=True)
    print(report.summary(results))
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, description=__doc__)))
