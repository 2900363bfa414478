"""FIDO's rows: its speed by precision and schedule, by batch size, and over several devices."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.gpu.parts import Found
from benchmarks.networks import Network
from fidojax.bench import (
    BenchRow,
    Case,
    How,
    Work,
    interleaved,
    measure,
    operations,
    paired,
    passes_per_map,
)
from fidojax.bench.step import lower
from fidojax.engine import ExplainRequest, Spread, find_batch_size, needed_bytes, prepared
from fidojax.types import Device


def row(
    name: str,
    network: Network,
    precision: str,
    schedule: str,
    options: Mapping[str, Any],
    images: int,
    how: How,
) -> Found:
    """Return a row of `fidojax bench` with the share of the bare gradient."""
    wanted = BenchRow(name, "fido", f"preset {schedule}", "", precision, images)
    passes = passes_per_map("fido", options, network.size, 2)
    cost = operations(network.classifier, network.size)
    case = Case(wanted, network.classifier, network.size, options, {}, passes, cost)
    return as_found(measure(case, how))


def as_found(row: BenchRow) -> Found:
    """Return what a row says; `gradient_share` is the share of its time in the bare passes."""
    said = {name: value for name, value in dataclasses.asdict(row).items() if value is not None}
    if not said["problem"]:
        del said["problem"]
    return said | ({"gradient_share": 1 / row.ratio} if row.ratio else {})


def by_batch(
    network: Network,
    precision: str,
    options: Mapping[str, Any],
    batches: Sequence[int],
    how: How,
) -> Found:
    """Return the time and memory of a step for each number of pictures, and the chosen number."""
    classifier = prepared(network.classifier, precision)
    rows = []
    for images in batches:
        work = _work(classifier, network, options, images)
        start = time.perf_counter()
        pair = paired(work)
        jax.block_until_ready(pair.step())
        compiled = time.perf_counter() - start
        (seconds,) = interleaved([pair.step], how.repeats, how.rounds, how.clock)
        rows.append(
            {
                "images": images,
                "first_call_s": compiled,
                "ms_per_evaluation": 1e3 * seconds / pair.steps / pair.masks,
                "program_mb": (needed_bytes(lower(work).compile()) or 0) / 1e6,
            }
        )
        jax.clear_caches()
    request = ExplainRequest("fido", network.classifier, dict(options), precision=precision).ready()
    start = time.perf_counter()
    chosen = find_batch_size(request, network.size, max(batches))
    return {"rows": rows, "chosen": chosen, "choosing_s": time.perf_counter() - start}


def spread(
    network: Network,
    precision: str,
    options: Mapping[str, Any],
    devices: Sequence[Device],
    how: How,
) -> Found:
    """Return the seconds of a step of one picture on one device, and divided among all."""
    classifier = prepared(network.classifier, precision)
    work = _work(classifier, network, options, 1)
    pairs = [paired(work._replace(devices=d)) for d in (devices[:1], Spread(devices))]
    alone, divided = interleaved([pair.step for pair in pairs], how.repeats, how.rounds, how.clock)
    return {"devices": len(devices), "alone_s": alone, "spread_s": divided}


def _work(classifier: Any, network: Network, options: Mapping[str, Any], images: int) -> Work:
    pictures = np.random.default_rng(0).random((images, *network.size), np.float32)
    return Work("fido", classifier, pictures, options)
