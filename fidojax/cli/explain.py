"""`fidojax explain`: announce the run, carry it out, sum it up."""

import sys
import time

from fidojax.cli.cost import forecast
from fidojax.cli.method_options import differing
from fidojax.cli.numbers import percent
from fidojax.cli.options import ExplainSeveral, UsageError
from fidojax.cli.region import RegionPlan
from fidojax.cli.run import ExplainRun
from fidojax.cli.several import settings_of
from fidojax.cli.stopping import StoppedError, reason_of
from fidojax.core import FIRST, printable
from fidojax.engine import Spread, concurrent_calls, cores, dividing_threads, split_cpu
from fidojax.runs import DamagedError, duration, join_processes

INTERRUPTED = 130
"""The exit code of a run that the user has interrupted."""


def explain(asked: ExplainSeveral) -> int:
    """Carry the command out, one setting after the other, and return the exit code.

    Raises:
        UsageError: the command cannot be carried out as given.
        StoppedError: a run cannot go on; finished pictures are kept.
    """
    try:
        commands = settings_of(asked)
    except ValueError as error:
        raise UsageError(str(error)) from None
    _start(asked)
    runs = [ExplainRun(command) for command in commands]  # all are checked before the first one
    codes = []
    for number, run in enumerate(runs, 1):
        if len(runs) > 1:
            print(f"Setting {number} of {len(runs)}")
        codes.append(_explain(run))
        if codes[-1] == INTERRUPTED:
            return INTERRUPTED
    if not asked.dry_run:
        folder = runs[-1].results.folder
        if runs[-1].job.asked.save:
            print(f"Maps are in {printable(folder / 'maps')}/")
        print(f"See {printable(folder / 'index.html')}")
    return max(codes)


def _start(asked: ExplainSeveral) -> None:
    """Join other processes and divide the CPU, before JAX is used.

    Raises:
        UsageError: it cannot be done.
    """
    try:
        if asked.distributed:
            join_processes()
        if asked.spread:
            split_cpu(cores())
    except ValueError as error:
        raise UsageError(f"--{error}") from None


def _explain(run: ExplainRun) -> int:
    """Carry out one setting."""
    asked = run.job.asked
    print(_announcement(run), flush=True)
    if asked.dry_run:
        print(forecast(run))
        return 0
    started = time.monotonic()
    stopped = _work(run)
    try:
        run.finish()
    except OSError as error:
        stopped = stopped or f"--out {asked.out}: {reason_of(error)}"
    if stopped is not None:
        summary = f"{_summary(run, started)} The same command goes on from here."
        if stopped:
            raise StoppedError(f"{stopped}; {summary}")
        print(f"\nInterrupted: {summary}", file=sys.stderr)
        return INTERRUPTED
    lines = [_summary(run, started)]
    if run.items.ignored:
        lines.append(f"  {_count(run.items.ignored, 'other file')} ignored: no pictures")
    if run.skipped and not run.explained:
        lines[0] += " (--force explains them again.)"
    if run.unheld:
        lines.append(
            f"  {_count(run.unheld, 'picture')} without a region that holds: see the warning of "
            f"each on the page"
        )
    lines += [f"  failed: {printable(bad)}" for bad in run.failures]
    lines += [
        f"  left out: {printable(path)}: it is no record of a result"
        for path in sorted(run.results.damaged)
    ]
    print("\n".join(lines))
    return 1 if run.failures else 0


def _work(run: ExplainRun) -> str | None:
    """Explain; return why the run stopped before its end, "" if the user has interrupted it."""
    try:
        run.go()
    except KeyboardInterrupt:
        return ""
    except Exception as error:
        reason = reason_of(error)
        if reason is None:
            raise
        out = f"--out {run.job.asked.out}: " if isinstance(error, OSError | DamagedError) else ""
        return out + reason
    return None


def _announcement(run: ExplainRun) -> str:
    """The pictures, the method, the classifier and the machine, as text."""
    job = run.job
    how = [f"preset {job.preset}"] if job.preset else []
    how += [f"{name} {job.options[name]}" for name in ("objective",) if name in job.options]
    changed = differing(job.settings)
    how += [f"{name} {value}" for name, value in changed.items() if name != "objective"]
    if isinstance(job.target, int):
        how += [f"class {job.pretrained.labels[job.target]}"]
    how += [f"infill {' and '.join(job.infill)}"] if job.infill else []
    how += _said_of(job.region) if job.region else []
    how += [f"{job.explainer.option} {job.explainer.source}"] if job.explainer else []
    how += [f"{job.evaluations} classifier evaluations each"] if job.evaluations else []
    height, width, _ = job.pretrained.size
    index, shards = run.shard
    part = f", part {index + 1} of {shards}," if shards > 1 else ""
    said = (
        f"Explaining {_count(run.total, 'picture')}{part} with {job.method} "
        f"({printable(', '.join(how) or 'at its defaults')})\n"
        f"for {printable(job.pretrained.name)} "
        f"({height} x {width}, {len(job.pretrained.labels)} classes) on {_places(run)}; "
        f"results go to {printable(run.results.folder)}/"
    )
    before = run.made and run.made["batch_size"]
    if before and before != run.request.batch_size:
        said += (
            f"\nThe stored maps were made {before} at a time and are kept; "
            f"maps made with another number may differ in the last bits"
        )
    threads = dividing_threads(run.request.chosen_devices[0].platform)
    made = run.made.get("threads", threads) if run.made else threads
    if made != threads:
        said += (
            f"\nThe stored maps were made with {_count(made, 'thread')} of XLA and are kept; with "
            f"{threads} some differ in the last bits, which many steps amplify: NPROC={made} gives "
            f"the same"
        )
    if run.damages:
        count = _count(len(run.damages), "stored file")
        said += (
            f"\n{count} cannot be read ({printable(run.damages[0])}); "
            f"the pictures of these rows are explained again"
        )
    return said


def _said_of(region: RegionPlan) -> list[str]:
    """What the region has to hold, in words."""
    first = region.hold == FIRST
    said = f"regions hold {'the first place' if first else percent(region.hold)}"
    return [said if region.by_method else f"{said} under {' and '.join(region.names)}"]


def _places(run: ExplainRun) -> str:
    """The devices in words."""
    together = isinstance(run.request.chosen_devices, Spread)
    if run.request.chosen_devices[0].platform == "cpu":
        cores = (
            len(run.request.chosen_devices)
            if together
            else concurrent_calls(run.request.chosen_devices)
        )
        named = _count(cores, "CPU core")
    else:
        named = f"{len(run.request.chosen_devices)} x {run.request.chosen_devices[0].device_kind}"
    return f"{named}, {run.request.batch_size} at a time on {'all' if together else 'each'}"


def _summary(run: ExplainRun, started: float) -> str:
    """The numbers of pictures and the time, as one sentence."""
    taken = duration(time.monotonic() - started)
    parts = [f"{_count(run.explained, 'picture')} explained in {taken}"]
    if run.skipped:
        parts.append(f"{run.skipped} already explained with the same settings and skipped")
    if run.others:
        parts.append(f"{run.others} left to other shards")
    if run.failures:
        parts.append(f"{len(run.failures)} failed")
    return ", ".join(parts) + "."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
