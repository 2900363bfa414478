"""`fidojax explain`: read pictures, explain them in batches, store each as soon as it is done."""

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from fidojax.cli.interrupt import Interrupt
from fidojax.cli.job import Job, prepare
from fidojax.cli.meter import Meter, span
from fidojax.cli.options import Explain, UsageError
from fidojax.cli.outcome import Outcome, exhibit, outcome, target_of, versions
from fidojax.cli.page import page
from fidojax.cli.records import EXPLAINED, Results, result_name
from fidojax.data import BadPicture, Picture, Pictures, pictures
from fidojax.memory import find_micro_batch
from fidojax.methods import METHODS
from fidojax.run import explain_batch, split_options
from fidojax.types import Explanation
from fidojax.viz import figure

DEFAULT_PICTURES = ("skimage:chelsea", "skimage:coffee")
CPU_PIXELS = 16 * 64 * 64
"""Pixels that the classifier looks at in one compiled step on CPUs."""
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
        self.micro_batch = asked.batch_size or self._fitting()
        self.failures: list[BadPicture] = []
        self.explained = self.skipped = 0
        self.started = self.page_written = time.monotonic()
        self.console = Console(stderr=True)

    def _fitting(self) -> int:
        """Pictures per device. From the whole run's length, so that resuming computes the same."""
        most = -(-self.total // len(self.devices))
        if self.job.evaluations == 0:
            return min(most, 64)
        if self.devices[0].platform == "cpu":
            # A few images keep all cores busy; more would only make the first result late.
            height, width, _ = self.job.pretrained.size
            pixels = height * width * self.job.evaluations // self.job.steps
            return min(most, max(1, CPU_PIXELS // pixels))
        static, dynamic = split_options(self.job.call_options)
        found = find_micro_batch(
            METHODS[self.job.method], self.job.pretrained.classifier, self.job.pretrained.size,
            most, static=static, options=dynamic, device=self.devices[0],
        )  # fmt: skip
        return -(-most // -(-most // found))  # as many groups, but evenly filled

    def announcement(self) -> str:
        """What will be done, on what, and how much work it is."""
        job = self.job
        how = [f"preset {job.preset}"] if job.preset else []
        how += [f"{name} {job.options[name]}" for name in ("objective",) if name in job.options]
        how += [f"infill {job.infill}"] if job.infill else []
        work = f"{job.evaluations} classifier evaluations each" if job.evaluations else "one pass"
        height, width, _ = job.pretrained.size
        kind = self.devices[0].device_kind
        return (
            f"Explaining {_count(self.total, 'picture')} with {job.method} "
            f"({', '.join([*how, work])})\n"
            f"for {job.pretrained.name} ({height} x {width}, {len(job.pretrained.labels)} classes) "
            f"on {len(self.devices)} x {kind}, {self.micro_batch} at a time per device; "
            f"results go to {self.results.folder}/"
        )

    def go(self, interrupt: Interrupt) -> None:
        """Read, explain and store picture after picture."""
        size = self.micro_batch * len(self.devices)
        with Meter(self.console, self.total, interrupt.check) as meter:
            for batch in _batches(self._todo(meter), size):
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
        probabilities = self._probabilities(items)
        targets, kept = [], []
        for row, picture in enumerate(items):
            try:
                targets.append(target_of(job, picture, probabilities[row]))
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
            each=_boxes(items) if job.method == "box" else None,
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
            self._store(names[row], picture, result, one, meter)

    def _store(
        self, name: str, picture: Picture, result: Outcome, one: Explanation, meter: Meter
    ) -> None:
        if result.problem is not None:
            self.results.store(name, result.record)
            self._fail(BadPicture(picture.source, result.problem), meter)
            return
        drawn = figure(exhibit(result, self.job, picture, one)) if self.asked.figures else None
        self.results.store(
            name,
            result.record,
            np.asarray(one.saliency),
            None if drawn is None else lambda file: drawn.savefig(file, dpi=120, format="png"),
        )
        self.explained += 1
        meter.show(self._done, self._done)
        if self.total <= 50:
            meter.say(result.line)

    def _probabilities(self, items: list[Picture]) -> np.ndarray:
        """Softmax "n k", in batches of one size, so that the last one does not compile again."""
        size = self.micro_batch * len(self.devices)
        images = np.stack([picture.image for picture in items])
        padded = images[np.minimum(np.arange(size), len(images) - 1)]
        return np.asarray(_softmax(self.job.pretrained.classifier, padded))[: len(images)]

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


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(items, size)):
        yield batch


@jax.jit
def _softmax(classifier: Any, images: Any) -> Any:
    return jax.nn.softmax(classifier(jnp.asarray(images)).astype(jnp.float32))


def _boxes(items: list[Picture]) -> dict[str, np.ndarray]:
    """Boxes as shares of the sides, padded with empty ones to the same number."""
    given = [np.zeros((0, 4)) if item.boxes is None else item.boxes for item in items]
    boxes = np.zeros((len(items), max(1, *(len(rows) for rows in given)), 4), np.float32)
    for row, (item, corners) in enumerate(zip(items, given, strict=True)):
        height, width = item.image.shape[:2]
        boxes[row, : len(corners)] = corners / np.tile([height, width], 2)
    return {"boxes": boxes}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
