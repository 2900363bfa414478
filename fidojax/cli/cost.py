"""Forecast what a run costs, from its stored maps or from a small part of the work."""

import time
from dataclasses import replace

import numpy as np

from fidojax.cli.job import Job
from fidojax.cli.run import ExplainRun
from fidojax.data import Picture
from fidojax.engine import ExplainRequest, Sample, explain_samples, most_steps_per_call
from fidojax.runs import duration, seconds_per_map

PATIENCE = 30.0
"""Seconds; a first call that takes longer, compilation included, is not repeated without it."""


def forecast(run: ExplainRun) -> str:
    """What the run would do and how long it would take, as one sentence."""
    if run.ledger is not None:
        missing = sum(isinstance(item.picture, Picture) for item in run.todo())
    else:
        missing = sum(map(run.rows.owns, range(run.total)))
    parts = [f"Pictures to explain: {missing}"]
    parts += [f"already explained: {run.skipped}"] if run.skipped else []
    parts += [f"not readable: {len(run.failures)}"] if run.failures else []
    if run.job.evaluations:
        parts.append(f"classifier evaluations: {missing * run.job.evaluations}")
    if missing:
        each, how = seconds_per_map(run.ledger), "measured on the stored maps"
        if each is None:
            each, how = _timed(run.job, run.request), "measured on a batch"
        parts.append(f"about {duration(each * missing)} ({duration(each)} each, {how})")
    return f"{'; '.join(parts)}. Nothing is written."


def _timed(job: Job, request: ExplainRequest) -> float:
    """Seconds per picture, measured on grey pictures and with few steps of an iterative method."""
    count = request.pictures_at_once
    grey = [Picture(str(i), np.full(job.pretrained.size, 0.5, np.float32)) for i in range(count)]
    own = job.each(grey) if job.each else {}
    samples = [
        Sample(picture.id, picture.image, 0, {name: own[name][i] for name in own})
        for i, picture in enumerate(grey)
    ]
    steps = min(job.steps, 3 * most_steps_per_call(request.rewrite))
    if job.row.loop is not None:
        request = replace(request, options={**request.options, "steps": steps})
    stamps: list[tuple[float, float]] = []

    def stamp(done: float) -> None:
        stamps.append((done, time.perf_counter()))

    def once() -> float:
        start = time.perf_counter()
        list(explain_samples(request, samples, most=count, progress=stamp))
        return time.perf_counter() - start

    first = once()
    if job.row.loop is not None and len(stamps) > 2:  # the first call came with its compilation
        (before, start), (after, end) = stamps[1], stamps[-1]
        return (end - start) / (after - before) * job.steps / steps
    return (first if first > PATIENCE else once()) * job.steps / steps / count
