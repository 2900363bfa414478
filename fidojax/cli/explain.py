"""`fidojax explain`: announce the run, carry it out, sum it up."""

import sys
import time

import jax

from fidojax.cli.cost import forecast
from fidojax.cli.options import Explain, UsageError
from fidojax.cli.run import ExplainRun
from fidojax.engine import Spread, concurrent_calls, is_out_of_memory
from fidojax.runs import duration


def explain(asked: Explain) -> int:
    """Carry the command out and return the exit code.

    Raises:
        UsageError: the command cannot be carried out as given.
    """
    run = ExplainRun(asked)
    print(_announcement(run), flush=True)
    started = time.monotonic()
    try:
        if asked.dry_run:
            print(forecast(run))
            return 0
        run.go()
    except KeyboardInterrupt:
        run.finish()
        print(
            f"\nInterrupted: {_summary(run, started)} The same command goes on from here.",
            file=sys.stderr,
        )
        return 130
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        run.finish()
        raise UsageError(
            "out of memory with one picture at a time; finished pictures are kept, and the same "
            "command goes on from there on a machine with more memory"
        ) from None
    except OSError as error:  # from writing; `fidojax.data` handles errors of reading
        raise UsageError(f"--out {asked.out}: {error.strerror or error}") from None
    run.finish()
    lines = [_summary(run, started)]
    if run.skipped and not run.explained:
        lines[0] += " (--force explains them again.)"
    lines += [f"  failed: {bad}" for bad in run.failures]
    lines.append(f"See {run.results.folder / 'index.html'}")
    print("\n".join(lines))
    return 1 if run.failures else 0


def _announcement(run: ExplainRun) -> str:
    """The pictures, the method, the classifier and the machine, as text."""
    job = run.job
    how = [f"preset {job.preset}"] if job.preset else []
    how += [f"{name} {job.options[name]}" for name in ("objective",) if name in job.options]
    how += [f"infill {job.infill}"] if job.infill else []
    how += [f"{job.explainer.option} {job.explainer.source}"] if job.explainer else []
    how += [f"{job.evaluations} classifier evaluations each"] if job.evaluations else []
    height, width, _ = job.pretrained.size
    index, shards = run.shard
    part = f", part {index + 1} of {shards}," if shards > 1 else ""
    said = (
        f"Explaining {_count(run.total, 'picture')}{part} with {job.method} "
        f"({', '.join(how) or 'at its defaults'})\n"
        f"for {job.pretrained.name} ({height} x {width}, {len(job.pretrained.labels)} classes) "
        f"on {_places(run)}; "
        f"results go to {run.results.folder}/"
    )
    before = run.made and run.made["batch_size"]
    if before and before != run.request.batch_size:
        said += (
            f"\nThe stored maps were made {before} at a time and are kept; "
            f"maps made with another number may differ in the last bits"
        )
    return said


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
