"""Forecast what a run costs, from its stored maps or from a small part of the work."""

import io
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fidojax.cli.job import Job
from fidojax.cli.run import ExplainRun
from fidojax.data import Picture
from fidojax.engine import Sample, compile_seconds, explain_samples, most_steps_per_call
from fidojax.runs import Explained, Item, duration, joined, seconds_per_map
from fidojax.viz import Exhibit, View, figure

PATIENCE = 30.0
"""Seconds; a first call that takes longer is not repeated to measure one that is warm."""


class Taken(NamedTuple):
    """What a run takes, in seconds.

    Attributes:
        each: of a picture.
        compiling: before the first one.
        how: where the numbers are from.
    """

    each: float
    compiling: float
    how: str


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
        taken = _stored(run) or _timed(run)
        each = taken.each + (_drawing(run.job) if run.job.asked.figures else 0)
        parts.append(
            f"about {duration(each * missing + taken.compiling)} "
            f"({duration(each)} each, {duration(taken.compiling)} to compile, {taken.how})"
        )
    return f"{'; '.join(parts)}. Nothing is written."


def _stored(run: ExplainRun) -> Taken | None:
    """What the stored maps took; None where there are none."""
    each = seconds_per_map(run.ledger)
    if each is None:
        return None
    before = run.results.runs().get(run.job.digest, {})
    return Taken(each, before.get("compile_seconds", 0.0), "measured on the stored maps")


def _timed(run: ExplainRun) -> Taken:
    """What a batch of grey pictures takes, with few steps of an iterative method."""
    job, request = run.job, run.request
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

    def once() -> tuple[float, float]:
        """The seconds of the batch, and those to compile."""
        known, start = compile_seconds(), time.perf_counter()
        done = [
            Explained([Item(i, grey[i].id, grey[i]) for i in numbers], [0] * len(numbers), found,
                      np.zeros(len(numbers)))
            for numbers, found in explain_samples(request, samples, most=count, progress=stamp)
        ]  # fmt: skip
        if job.region and job.region.reads:
            job.region.read(request, joined(done))
        compiling = compile_seconds() - known
        return max(time.perf_counter() - start - compiling, 0.0), compiling

    taken, compiling = once()
    each = taken / count
    if job.row.loop is None:
        each = each if taken > PATIENCE else once()[0] / count
    else:
        (before, start), (after, end) = stamps[1 if len(stamps) > 2 else 0], stamps[-1]
        step = (end - start) / (after - before) if after > before else each
        each += step * (job.steps / steps - 1)
    return Taken(each, compiling, "measured on a batch")


def _drawing(job: Job) -> float:
    """The seconds of a figure."""
    grey = np.full(job.pretrained.size, 0.5, np.float32)
    views = (View(grey, "alone"), View(grey, "without")) if job.region else ()
    for _ in range(2):  # the first one loads fonts
        start = time.perf_counter()
        shown = Exhibit(grey, np.zeros(grey.shape[:2], np.float32), views=views)
        figure(shown).savefig(io.BytesIO(), dpi=120, format="png")
    return time.perf_counter() - start
