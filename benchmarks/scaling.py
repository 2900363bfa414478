"""Do twice as many cores explain twice as many pictures in the same time?

    python -m benchmarks.scaling --parts 1 2 4 8 --json scaling.json

Weak scaling on a CPU: every part, a core's lane or a forced device, has its own pictures, and may
use as many cores as there are parts. Every number of parts is measured in a process of its own, and
the maps of the first part are compared bit for bit.
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

from benchmarks.peers.__main__ import use_cores
from fidojax import explain_batch, networks
from fidojax.engine import cores
from fidojax.runs import about
from infillers import mean

FORMS = ("lanes", "devices")


@dataclasses.dataclass(frozen=True)
class Config:
    """Explain the same number of pictures per part with more and more parts."""

    parts: tuple[int, ...] = (1, 2, 4, 8)
    """Lanes of one device, at most as many as there are cores, and forced CPU devices."""
    network: str = "tiny_imagenet40"
    """What `fidojax.networks.load` takes."""
    pictures: int = 8
    """Per part."""
    batch_size: int = 4
    steps: int = 20
    """Of FIDO, four masks each."""
    rounds: int = 3
    """Timed runs, of which the median counts."""
    json: Path | None = None
    """Also write the results here."""
    measure: int = 0
    """Measure with what is there, and print the seconds and the maps' hash; so many parts."""


def main(config: Config) -> None:
    """Measures every form and number of parts in turn."""
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
    table = Table("", "parts", "pictures/s", "of the ceiling", "same bits", title=f"{count} cores")
    for row in rows:
        base = first[row["form"]]
        # As many times the first as there are cores for the parts.
        possible = base["images_per_second"] * min(row["parts"], count) / base["parts"]
        row["efficiency"] = row["images_per_second"] / possible
        row["same_bits"] = row["digest"] == rows[0]["digest"]
        table.add_row(
            row["form"], str(row["parts"]), f"{row['images_per_second']:.2f}",
            f"{row['efficiency']:.2f}", "yes" if row["same_bits"] else "no",
        )  # fmt: skip
    Console().print(table)
    if config.json:
        settings = {k: v for k, v in dataclasses.asdict(config).items() if k != "json"}
        config.json.write_text(json.dumps({"about": about(settings), "rows": rows}, indent=1))


def _in_a_process(config: Config, form: str, parts: int) -> tuple[float, str]:
    command = [
        sys.executable, "-m", "benchmarks.scaling", "--measure", str(parts),
        "--network", config.network, "--pictures", str(config.pictures),
        "--batch-size", str(config.batch_size), "--steps", str(config.steps),
        "--rounds", str(config.rounds),
    ]  # fmt: skip
    environment = dict(os.environ)
    if form == "devices":
        environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={parts}"
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    seconds, digest = json.loads(said.stdout)
    return seconds, digest


def _measure(config: Config) -> tuple[float, str]:
    """Seconds of a run whose program is compiled, and a hash of the first part's maps."""
    use_cores(min(config.measure, cores()))
    model = networks.load(config.network)
    count = config.pictures * config.measure
    images = np.random.default_rng(0).random((count, *model.size), np.float32)
    options = {"infill": mean(), "steps": config.steps, "samples": 4}

    def run() -> np.ndarray:
        explanation = explain_batch(
            "fido", model.classifier, images, [0] * count, options=options,
            batch_size=config.batch_size,
        )  # fmt: skip
        return np.asarray(explanation.saliency)

    maps, taken = run(), []
    for _ in range(config.rounds):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    digest = hashlib.sha256(maps[: config.pictures].tobytes()).hexdigest()
    return statistics.median(taken), digest


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
