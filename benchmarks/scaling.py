"""Measure weak scaling on a CPU: n cores explain n times the pictures.

    python -m benchmarks.scaling --parts 1 2 4 8 --json scaling.json

A part is a call thread of one device, or a forced CPU device; each has its own pictures, and the
process may use one core per part. Every number of parts is measured in a separate process, and the
maps of the first part are compared bit for bit.
"""

import dataclasses
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from fidojax import explain_batch, networks
from fidojax.engine import cores
from infillers import mean

FORMS = ("threads", "devices")


@dataclasses.dataclass(frozen=True)
class Config:
    """Explain the same number of pictures per part with growing numbers of parts."""

    parts: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of parts: call threads, up to the number of cores, and forced CPU devices."""
    network: str = "tiny_imagenet40"
    """The network, as `fidojax.networks.load` takes it."""
    pictures: int = 8
    """Pictures per part."""
    batch_size: int = 4
    steps: int = 20
    """Steps of FIDO, with four masks each."""
    rounds: int = 3
    """Number of timed runs, whose median counts."""
    json: Path | None = None
    """Also write the results here."""
    measure: int = 0
    """Number of parts to measure in this process, which prints seconds and the maps' hash."""


def main(config: Config) -> None:
    """Measure every form and number of parts, print the table and write the file of `--json`."""
    if config.measure:
        print(json.dumps(_measure(config)))
        return
    count = cores()
    rows: list[dict[str, Any]] = []
    for form in FORMS:
        for parts in config.parts:
            if form == "devices" or parts <= count:
                seconds, digest = _in_a_process(config, form, parts)
                rate = parts * config.pictures / seconds
                rows.append(
                    {"form": form, "parts": parts, "images_per_second": rate, "digest": digest}
                )
    first = {row["form"]: row for row in reversed(rows)}
    heads = ("", "parts", "pictures/s", "of the best possible", "same bits")
    table = Table(*heads, title=f"{count} cores")
    for row in rows:
        base = first[row["form"]]
        # The first row's rate, times the number of cores that the parts can use.
        possible = base["images_per_second"] * min(row["parts"], count) / base["parts"]
        row["efficiency"] = row["images_per_second"] / possible
        row["same_bits"] = row["digest"] == rows[0]["digest"]
        rates = (f"{row[name]:.2f}" for name in ("images_per_second", "efficiency"))
        same = "yes" if row["same_bits"] else "no"
        table.add_row(row["form"], str(row["parts"]), *rates, same)
    Console().print(table)
    if config.json:
        machine.save(config.json, machine.description(config), rows)


def _in_a_process(config: Config, form: str, parts: int) -> tuple[float, str]:
    command = [sys.executable, "-m", "benchmarks.scaling", "--measure", str(parts)]
    for name in ("network", "pictures", "batch_size", "steps", "rounds"):
        command += [f"--{name.replace('_', '-')}", str(getattr(config, name))]
    environment = dict(os.environ)
    if form == "devices":
        environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={parts}"
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    seconds, digest = json.loads(said.stdout)
    return seconds, digest


def _measure(config: Config) -> tuple[float, str]:
    """Return the seconds of a compiled run, and a hash of the first part's maps."""
    machine.use_cores(min(config.measure, cores()))
    model = networks.load(config.network)
    count = config.pictures * config.measure
    images = np.random.default_rng(0).random((count, *model.size), np.float32)
    options = {"infill": mean(), "steps": config.steps, "samples": 4}

    def run() -> np.ndarray:
        given = (model.classifier, images, [0] * count)
        found = explain_batch("fido", *given, options=options, batch_size=config.batch_size)
        return np.asarray(found.saliency)

    maps, taken = run(), []
    for _ in range(config.rounds):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    digest = hashlib.sha256(maps[: config.pictures].tobytes()).hexdigest()
    return statistics.median(taken), digest


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
