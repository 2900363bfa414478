"""Do twice as many devices explain twice as many pictures in the same time?

    python -m benchmarks.scaling --devices 1 2 4 8 --json scaling.json

Weak scaling on forced CPU devices: each device has its own pictures, and each computes on one
thread, so that the machine's cores are the ceiling. Every number of devices is measured in a
process of its own, all of them in turn, and the maps are compared bit for bit.
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

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from fidojax import explain_batch, pretrained
from fidojax.bench.about import about
from fidojax.lanes import cores
from infillers import mean

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


@dataclasses.dataclass(frozen=True)
class Config:
    """Explain the same number of pictures per device on more and more devices."""

    devices: tuple[int, ...] = (1, 2, 4, 8)
    """Forced CPU devices."""
    network: str = "tiny_imagenet40"
    """What `fidojax.pretrained.load` takes."""
    pictures: int = 8
    """Per device."""
    micro_batch: int = 4
    steps: int = 10
    """Of FIDO, four masks each."""
    rounds: int = 3
    """Of which the median counts."""
    json: Path | None = None
    """Also write the results here."""
    measure: bool = False
    """Measure on the devices that are there, and print the seconds and the maps' hash."""


def main(config: Config) -> None:
    """Measures every number of devices in turn."""
    if config.measure:
        print(json.dumps(_measure(config)))
        return
    taken: dict[int, list[float]] = {n: [] for n in config.devices}
    hashes: dict[int, str] = {}
    for _ in range(config.rounds):
        for n in config.devices:
            seconds, hashes[n] = _in_a_process(config, n)
            taken[n].append(seconds)
    count = cores()
    rows = []
    for n in config.devices:
        seconds = statistics.median(taken[n])
        rate = n * config.pictures / seconds
        rows.append({"devices": n, "seconds": seconds, "images_per_second": rate})
    table = Table("devices", "s", "images/s", "of the ceiling", "same bits", title=f"{count} cores")
    for row in rows:
        # As many times the first as there are cores for the devices.
        possible = rows[0]["images_per_second"] * min(row["devices"], count) / rows[0]["devices"]
        row["efficiency"] = row["images_per_second"] / possible
        row["same_bits"] = hashes[row["devices"]] == hashes[config.devices[0]]
        table.add_row(
            str(row["devices"]), f"{row['seconds']:.2f}", f"{row['images_per_second']:.2f}",
            f"{row['efficiency']:.2f}", "yes" if row["same_bits"] else "no",
        )  # fmt: skip
    Console().print(table)
    if config.json:
        settings = {k: v for k, v in dataclasses.asdict(config).items() if k != "json"}
        config.json.write_text(json.dumps({"about": about(settings), "rows": rows}, indent=1))


def _in_a_process(config: Config, devices: int) -> tuple[float, str]:
    flags = f"--xla_force_host_platform_device_count={devices} {ONE_THREAD}"
    command = [
        sys.executable, "-m", "benchmarks.scaling", "--measure", "--network", config.network,
        "--pictures", str(config.pictures), "--micro-batch", str(config.micro_batch),
        "--steps", str(config.steps),
    ]  # fmt: skip
    said = subprocess.run(
        command, env={**os.environ, "XLA_FLAGS": flags}, check=True, capture_output=True, text=True
    )
    seconds, digest = json.loads(said.stdout)
    return seconds, digest


def _measure(config: Config) -> tuple[float, str]:
    """Seconds of a run whose program is compiled, and a hash of the first device's maps."""
    model = pretrained.load(config.network)
    count = config.pictures * jax.local_device_count()
    images = np.random.default_rng(0).random((count, *model.size), np.float32)
    options = {"infill": mean(), "steps": config.steps, "samples": 4}

    def run() -> np.ndarray:
        explanation = explain_batch(
            "fido", model.classifier, images, [0] * count, options=options,
            micro_batch=config.micro_batch,
        )  # fmt: skip
        return np.asarray(explanation.saliency)

    run()
    start = time.perf_counter()
    maps = run()
    seconds = time.perf_counter() - start
    return seconds, hashlib.sha256(maps[: config.pictures].tobytes()).hexdigest()


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
