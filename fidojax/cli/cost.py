"""What a run will cost, found out by a little of it."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fidojax.cli.job import Job
from fidojax.cli.run import ExplainRun
from fidojax.data import Picture, boxes_of
from fidojax.engine import concurrent_calls, explain_batch, most_steps_per_call
from fidojax.methods import LOOPS, METHOD_ROWS
from fidojax.runs import DONE, Ledger, duration

PATIENCE = 30.0
"""Seconds; what took longer with its compilation is not timed again without."""


def forecast(run: ExplainRun) -> str:
    """What the run would do and how long it would take, as one sentence."""
    if run.ledger is not None:
        missing = sum(isinstance(item.picture, Picture) for item in run.todo())
    else:
        missing = sum(map(run.places.owns, range(run.total)))
    parts = [f"To explain: {missing}"]
    parts += [f"already there: {run.skipped}"] if run.skipped else []
    parts += [f"not readable: {len(run.failures)}"] if run.failures else []
    if run.job.evaluations:
        parts.append(f"classifier evaluations: {missing * run.job.evaluations}")
    if missing:
        each, how = _measured(run.ledger), "as those took that are there"
        if each is None:
            each, how = _timed(run.job, run.batch_size, run.devices), "as a batch here took"
        parts.append(f"about {duration(each * missing)}, {duration(each)} each, {how}")
    return f"Nothing is written. {'; '.join(parts)}."


def _measured(ledger: Ledger | None) -> float | None:
    """Median of the seconds that each stored map took; None where there is none."""
    if ledger is None:
        return None
    rows = np.flatnonzero(ledger.status == DONE)
    return float(np.median(ledger.read("seconds", rows))) if len(rows) else None


def _timed(job: Job, batch_size: int, devices: Sequence[Any]) -> float:
    """Seconds per picture, of one batch of grey ones; of a method that iterates, of some steps."""
    size = batch_size * concurrent_calls(devices)
    grey = np.full((size, *job.pretrained.size), 0.5, np.float32)
    options = job.call_options
    if job.method in LOOPS:
        options["steps"] = min(job.steps, 3 * most_steps_per_call(job.rewrite))
    stamps: list[tuple[int, float]] = []

    boxed = "boxes" in METHOD_ROWS[job.method].required
    each = boxes_of([Picture("grey", image) for image in grey]) if boxed else None

    def once() -> float:
        start = time.perf_counter()
        explain_batch(
            job.method, job.pretrained.classifier, grey, [0] * size, options=options,
            each=each, batch_size=batch_size, devices=devices, precision=job.precision, rewrite=job.rewrite,
            progress=lambda done, _: stamps.append((done, time.perf_counter())),
        )  # fmt: skip
        return time.perf_counter() - start

    first = once()
    if len(stamps) > 2:  # the first chunk of steps came with its compilation
        (before, start), (after, end) = stamps[1], stamps[-1]
        return (end - start) / (after - before) * job.steps / size
    seconds = first if first > PATIENCE else once()
    return seconds * job.steps / options.get("steps", job.steps) / size
