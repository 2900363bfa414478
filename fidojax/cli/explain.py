"""`fidojax explain`: read pictures, explain them in batches, store each as soon as it is done."""

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import jax
import numpy as np
from rich.console import Console

from fidojax.cli.batch import batches, boxes_of, fitting, softmax
from fidojax.cli.figures import more_figures
from fidojax.cli.interrupt import Interrupt
from fidojax.cli.job import Job, prepare
from fidojax.cli.options import Explain, UsageError
from fidojax.cli.outcome import Outcome, exhibit, maps_of, outcome, versions
from fidojax.cli.page import page
from fidojax.cli.records import EXPLAINED, Results, result_name
from fidojax.cli.target import target_of
from fidojax.data import BadPicture, Picture, Pictures, pictures
from fidojax.meter import Meter, span
from fidojax.methods import METHODS
from fidojax.run import explain_batch
from fidojax.types import Explanation
from fidojax.viz import figure

DEFAULT_PICTURES = ("skimage:chelsea", "skimage:coffee")
PAGE_EVERY = 30.0
"""Seconds between writings of index.html during a run."""


def explain(asked: Explain) -> int:
    """Carry the command out; returns the exit code.

    Raises:
        UsageError: it cannot be carried out as given.
    """
    run = _Run(asked)
    print(run.announcement(), flush=True)
    try:
        with Interrupt() as interrupt:
            run.go(interrupt)
    except KeyboardInterrupt:
        run.finish()
        print(
            f"\nInterrupted: {run.summary()} The same command goes on from here.", file=sys.stderr
        )
        return 130
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        run.finish()
        raise UsageError(
            f"out of memory at {run.micro_batch} pictures at a time; what is finished is kept, "
            f"go on with --batch-size {max(1, run.micro_batch // 2)}"
        ) from None
    except OSError as error:  # reading is guarded elsewhere
        raise UsageError(f"--out {asked.out}: {error.strerror or error}") from None
    run.finish()
    print(run.report())
    return 1 if run.failures else 0


class _Run:
    """One run: what it is to do, and what became of it so far."""

    def __init__(self, asked: Explain) -> None:
        self.asked = asked
        found = _find(asked)
        self.job: Job = prepare(asked)
        self.items: Pictures = pictures(
            found, self.job.pretrained.size, asked.data_dir, crop=self.job.crop
        )
        self.total = min(len(self.items), asked.limit or len(self.items))
        if self.total == len(self.items.missing):
            raise UsageError("; ".join(map(str, self.items.missing)) or "there are no pictures")
        try:
            self.results = Results(asked.out)
        except OSError as error:
            raise UsageError(f"--out {asked.out}: {error.strerror}") from None
        self.devices = jax.local_devices()
        self.micro_batch = asked.batch_size or fitting(self.job, self.total, self.devices)
        self.failures: list[BadPicture] = []
        self.explained = self.skipped = 0
        self.started = self.page_written = time.monotonic()
        self.console = Console(stderr=True)

    def announcement(self) -> str:
        """What will be done, on what, and how much work it is."""
        job = self.job
        how = [f"preset {job.preset}"] if job.preset else []
        how += [f"{name} {job.options[name]}" for name in ("objective",) if name in job.options]
        how += [f"infill {job.infill}"] if job.infill else []
        how += [f"{job.explainer.option} {job.explainer.source}"] if job.explainer else []
        how += [f"{job.evaluations} classifier evaluations each"] if job.evaluations else []
        height, width, _ = job.pretrained.size
        kind = self.devices[0].device_kind
        return (
            f"Explaining {_count(self.total, 'picture')} with {job.method} "
            f"({', '.join(how) or 'at its defaults'})\n"
            f"for {job.pretrained.name} ({height} x {width}, {len(job.pretrained.labels)} classes) "
            f"on {len(self.devices)} x {kind}, {self.micro_batch} at a time per device; "
            f"results go to {self.results.folder}/"
        )

    def go(self, interrupt: Interrupt) -> None:
        """Read, explain and store picture after picture."""
        size = self.micro_batch * len(self.devices)
        with Meter(self.console, self.total, interrupt.check) as meter:
            for batch in batches(self._todo(meter), size):
                self._explain(batch, meter)
                if time.monotonic() - self.page_written > PAGE_EVERY:
                    self._write_page()

    def finish(self) -> None:
        """Write down what failed, and the page."""
        self._write_page()

    def _todo(self, meter: Meter) -> Iterator[tuple[Picture, str]]:
        """The pictures that are not explained yet, with the names of their files."""
        for item in itertools.islice(self.items, self.total):
            if isinstance(item, BadPicture):
                self._fail(item, meter)
                continue
            name = result_name(item.id, item.image, self.job.method, self.job.digest)
            if not self.asked.force and self.results.is_finished(name):
                self.skipped += 1
                meter.show(self._done, self._done)
                continue
            yield item, name

    @property
    def _done(self) -> int:
        return self.explained + self.skipped + len(self.failures)

    def _fail(self, bad: BadPicture, meter: Meter) -> None:
        self.failures.append(bad)
        meter.show(self._done, self._done)

    def _explain(self, batch: list[tuple[Picture, str]], meter: Meter) -> None:
        start = time.monotonic()
        job, before = self.job, self._done
        names = [name for _, name in batch]
        items = [picture for picture, _ in batch]
        probabilities = softmax(
            job.pretrained.classifier,
            np.stack([picture.image for picture in items]),
            self.micro_batch * len(self.devices),
        )
        targets, kept = [], []
        for row, picture in enumerate(items):
            try:
                targets.append(target_of(job.target, job.pretrained, picture, probabilities[row]))
                kept.append(row)
            except ValueError as error:
                self._fail(BadPicture(picture.source, str(error)), meter)
        if not kept:
            return
        items, names = [items[row] for row in kept], [names[row] for row in kept]
        explanation = explain_batch(
            METHODS[job.method],
            job.pretrained.classifier,
            np.stack([picture.image for picture in items]),
            targets,
            options=job.call_options,
            each=boxes_of(items) if job.method == "box" else None,
            seed=job.seed,
            ids=[picture.id for picture in items],
            micro_batch=self.micro_batch,
            progress=lambda done, steps: meter.show(before + len(items) * done / steps, before),
        )
        seconds = (time.monotonic() - start) / len(items)
        for row, picture in enumerate(items):
            one: Explanation = jax.tree.map(lambda leaf: leaf[row], explanation)  # noqa: B023
            result = outcome(
                job, picture, targets[row], probabilities[kept[row]], one,
                seconds=seconds, micro_batch=self.micro_batch, devices=self.devices,
            )  # fmt: skip
            self._store(names[row], picture, result, one, probabilities[kept[row]], meter)

    def _store(
        self,
        name: str,
        picture: Picture,
        result: Outcome,
        one: Explanation,
        probabilities: np.ndarray,
        meter: Meter,
    ) -> None:
        if result.problem is not None:
            self.results.store(name, result.record)
            self._fail(BadPicture(picture.source, result.problem), meter)
            return
        drawn = {}
        if self.asked.figures:
            target = result.record["target"]["index"]
            drawn = {"figure": figure(exhibit(result, self.job, picture, one))}
            drawn |= more_figures(self.job, picture, one, target, probabilities)
        self.results.store(name, result.record, maps_of(one), drawn)
        self.explained += 1
        meter.show(self._done, self._done)
        if self.total <= 50:
            meter.say(result.line)

    def _write_page(self) -> None:
        old = self.results.runs().get(self.job.digest, {}).get("failures", [])
        seen = {bad.source for bad in self.failures}
        # A failure stays on the page until its file is tried again, and goes when that succeeds.
        records = list(self.results.records())
        seen |= {
            record["source"]
            for record in records
            if record["status"] == EXPLAINED and record["settings_digest"] == self.job.digest
        }
        failures = [bad for bad in old if bad["source"] not in seen]
        failures += [{"source": bad.source, "reason": bad.reason} for bad in self.failures]
        self.results.store_run(
            self.job.digest,
            {
                "settings": dict(self.job.settings),
                "versions": versions(),
                "updated": datetime.now(UTC).isoformat(timespec="seconds"),
                "failures": failures,
            },
        )
        self.results.write_page(page(self.results.runs(), records))
        self.page_written = time.monotonic()

    def summary(self) -> str:
        """How many pictures were done, in how long, as one sentence."""
        taken = time.monotonic() - self.started
        parts = [f"{_count(self.explained, 'picture')} explained in {span(taken)}"]
        if self.skipped:
            parts.append(f"{self.skipped} already there with the same settings and skipped")
        if self.failures:
            parts.append(f"{len(self.failures)} failed")
        return ", ".join(parts) + "."

    def report(self) -> str:
        """The end of a run, for the user: what was done, what failed, where to look."""
        lines = [self.summary()]
        if self.skipped and not self.explained:
            lines[0] += " (--force explains them again.)"
        lines += [f"  failed: {bad}" for bad in self.failures]
        lines.append(f"See {self.results.folder / 'index.html'}")
        return "\n".join(lines)


def _find(asked: Explain) -> Sequence[str]:
    return asked.paths or DEFAULT_PICTURES


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
