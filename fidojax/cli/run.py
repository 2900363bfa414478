"""One run of `fidojax explain`: read pictures, explain them in batches, draw and store them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fidojax.cli.classes import classes_said
from fidojax.cli.common_numbers import common_numbers, measure_missing
from fidojax.cli.figures import more_figures
from fidojax.cli.interrupt import Interrupt
from fidojax.cli.job import Job, prepare
from fidojax.cli.opening import batch_size_of, made_before, open_ledger, softmax
from fidojax.cli.options import Explain, UsageError
from fidojax.cli.outcome import Outcome, exhibit, outcome
from fidojax.cli.page import write_index
from fidojax.cli.records import ResultsFolder, result_name
from fidojax.cli.saved import save_map, save_missing, save_small
from fidojax.cli.sources import DEFAULT_PICTURES, check_boxes
from fidojax.cli.stopping import reason_of
from fidojax.cli.target import target_of
from fidojax.core import Region
from fidojax.data import BadPicture, Picture, Pictures, Place, pictures
from fidojax.engine import Stopwatch
from fidojax.runs import (
    DamagedError,
    Explained,
    Item,
    ProgressBar,
    RowAssignment,
    explain_missing,
    find_damages,
    find_ledger,
    parse_shard,
    repair,
)
from fidojax.viz import figure

PAGE_EVERY = 30.0
"""Seconds between writings of index.html during a run."""


class ExplainRun:
    """A run: its work and its results so far.

    Attributes:
        job: the checked command.
        request: the job's request with its batch size.
        ledger: the ledger of the maps; None in a dry run before the first run.
        rows: the assignment of the ledger's rows.
        made: the provenance of the maps of earlier runs, or None.
        total: the number of pictures.
        explained, skipped, others: the numbers of pictures that were explained, that were explained
            before, and that belong to other shards.
        unheld: the number of pictures that were explained and have no region that holds.
        failures: pictures that were not explained, and why.
        damages: the damaged files of the ledger, whose rows are explained again.
    """

    def __init__(self, asked: Explain) -> None:
        """Check the command; create the folders unless it is a dry run.

        Raises:
            UsageError: the command cannot be carried out as given.
        """
        try:
            self.shard = parse_shard(asked.shard)
        except ValueError as error:
            raise UsageError(f"--{error}") from None
        self.job: Job = prepare(asked)
        check_boxes(self.job.asked)
        self.items = self._pictures(self.job.asked.paths or DEFAULT_PICTURES)
        self.total = min(len(self.items), asked.limit or len(self.items))
        if len(self.items) == len(self.items.missing):
            raise UsageError("; ".join(map(str, self.items.missing)) or "there are no pictures")
        self.results = ResultsFolder(asked.out)
        self._place = Path("results.zarr", f"{self.job.method}-{self.job.digest}")
        try:
            self._open(self.results.folder / self._place)
        except (OSError, DamagedError) as error:
            raise UsageError(f"--out {asked.out}: {reason_of(error)}") from None
        at_once = self.request.pictures_at_once
        lost = [int(row) for damage in self.damages for row in damage.rows]
        self.rows = RowAssignment(
            self.ledger, self.total, at_once, self.shard, lost=lost, most=len(self.items)
        )
        self.failures: list[BadPicture] = []
        self.explained = self.skipped = self.others = self.unheld = 0
        self.interrupt = Interrupt()
        self._meter = ProgressBar(
            Console(stderr=True), self.total, self.interrupt.check, group=at_once
        )
        self._page_written = time.monotonic()
        self._watch = Stopwatch()
        self._probabilities: dict[int, np.ndarray] = {}  # by the identity of the picture
        self._told = False
        self._outcomes: list[Outcome] = []  # of the pictures that are being stored

    def _pictures(self, sources: Sequence[str]) -> Pictures:
        asked, size = self.job.asked, self.job.pretrained.size
        try:
            return pictures(sources, size, asked.data_dir, crop=self.job.crop, boxes=asked.boxes)
        except (ValueError, OSError) as error:
            raise UsageError(f"--{error}") from None

    def _open(self, path: Place) -> None:
        self.made = made_before(path)
        batch_size = batch_size_of(self.job, self.total, self.made)
        self.request = replace(self.job.request, batch_size=batch_size)
        if self.job.asked.dry_run:
            self.ledger = find_ledger(path)
            self.damages = find_damages(self.ledger, self.shard) if self.ledger else []
            return
        self.results.make()
        self.ledger = open_ledger(path, self.job, self.request, self.total, self.shard[1])
        self.damages = repair(self.ledger, self.shard)

    def go(self) -> None:
        """Read, explain and store picture after picture."""
        assert self.ledger is not None
        self._watch = Stopwatch()  # the settings before this one are not its time
        with self.interrupt, self._meter:
            explain_missing(
                self.ledger,
                self.request,
                self.todo(),
                self._targets,
                each=self.job.each,
                regions=self._regions if self.job.region and self.job.region.reads else None,
                finish=self._finish,
                stored=self._draw,
                progress=self._progress,
                smaller=self._smaller,
                watch=self._watch,
            )

    def finish(self) -> None:
        """Write the file of the run and index.html."""
        if not self.job.asked.dry_run:
            compiling = self._watch.compiling
            write_index(self.results, self.job, self.shard, self.failures, compiling)
            self._page_written = time.monotonic()

    def todo(self) -> Iterator[Item]:
        """Yield the shard's unfinished pictures, and those that cannot be read."""
        seen, readable = set(), 0
        for position, found in enumerate(self.items):
            if isinstance(found, Picture):
                readable += 1
            elif self.job.asked.limit and self.total < len(self.items):
                self.total += 1  # the limit counts pictures
                self._meter.extend()
            if isinstance(found, BadPicture):
                name, finished = found.source, False
            else:
                name = result_name(found.id, found.image, self.job.method, self.job.digest)
                finished = name in seen or self._is_finished(name, found)
            row = self.rows.row(position, name)
            if row is None or finished:
                self.skipped += row is not None
                self.others += row is None
                self._meter.skip()
            else:
                seen.add(name)
                if isinstance(found, BadPicture):
                    self.failures.append(found)
                self._make_room(row)
                yield Item(row, name, found)
            if readable == self.job.asked.limit:
                break

    def _make_room(self, row: int) -> None:
        if self.ledger is not None and row >= len(self.ledger) and not self.job.asked.dry_run:
            self.ledger.grow(self.rows.room(row))

    def _is_finished(self, name: str, picture: Picture) -> bool:
        """Whether a picture is finished; what was not asked for before is added if it is."""
        asked = self.job.asked
        if asked.force or name not in self.rows.finished:
            return False
        record = self.results.find(name, figure=asked.figures)
        if record and not asked.dry_run and self.rows.owns(self.rows.finished[name]):
            if asked.numbers:
                record = measure_missing(self.results, self.job, picture, record)
            save_missing(self.results, record, asked.save, self.job.row, picture)
        return record is not None

    def _targets(self, shown: Sequence[Picture]) -> list[int | str]:
        if self.skipped and not self._told:  # by now most of the finished pictures are seen
            self._meter.say(f"{self.skipped} done before, {self._meter.left} to go")
        self._told = True
        found: list[int | str] = []
        images = np.stack([picture.image for picture in shown])
        probabilities = softmax(
            self.job.pretrained.classifier, images, self.request.pictures_at_once
        )
        for picture, row in zip(shown, probabilities, strict=True):
            try:
                found.append(target_of(self.job.target, self.job.pretrained, picture, row))
                self._probabilities[id(picture)] = row
            except ValueError as error:
                found.append(str(error))
                self.failures.append(BadPicture(picture.source, str(error)))
        return found

    def _regions(self, batch: Explained) -> Region | None:
        """Read the regions out of finished maps."""
        return self.job.region and self.job.region.read(self.request, batch)

    def _finish(self, batch: Explained) -> list[str | None]:
        """Put explained pictures into words; return for each why it failed, or None."""
        self._outcomes = [self._outcome(batch, at) for at in range(len(batch.items))]
        return [result.problem for result in self._outcomes]

    def _outcome(self, batch: Explained, at: int) -> Outcome:
        picture = batch.items[at].picture
        assert isinstance(picture, Picture)
        return outcome(
            self.job, self.request, picture, batch.targets[at],
            self._probabilities[id(picture)], batch.one(at),
        )  # fmt: skip

    def _draw(self, batch: Explained) -> None:
        """Draw pictures whose rows are stored, and write their records."""
        if self.job.asked.numbers:
            self._measure(batch)
        for at, (item, result) in enumerate(zip(batch.items, self._outcomes, strict=True)):
            picture = item.picture
            assert isinstance(picture, Picture)
            probabilities = self._probabilities.pop(id(picture))
            if result.problem is not None:
                self.results.store(item.name, {**result.record, "map": None})
                self.failures.append(BadPicture(picture.source, result.problem))
                continue
            saliency = np.asarray(batch.explanation.saliency[at])
            shown = exhibit(result, self.job, picture, batch.one(at).explanation)
            if self.job.classes and result.regions:
                said = classes_said(self.job, picture, probabilities, saliency, result.regions[0])
                result.record["classes"] = said.record
                shown = said.put_into(shown)
            drawn = {}
            if self.job.asked.figures:
                one = batch.one(at).explanation
                drawn = {"figure": figure(shown)}
                drawn |= more_figures(self.job, picture, one, batch.targets[at], probabilities)
            where = {"ledger": self._place.as_posix(), "row": item.row}
            kinds, row = self.job.asked.save, self.job.row
            saved = save_map(self.results, item.name, kinds, row, picture, saliency)
            if self.job.asked.figures:
                alone = next((view.image for view in shown.views if "alone" in view.title), None)
                saved |= save_small(self.results, item.name, row, picture, saliency, alone)
            self.results.store(item.name, {**result.record, "map": where}, drawn, saved)
            self.explained += 1
            self.unheld += bool((result.record["region"] or {}).get("why_none"))
            if self.total <= 50:
                self._meter.say(result.line)

    def _measure(self, batch: Explained) -> None:
        """Add the common numbers to the records of pictures that have a map."""
        good = [at for at, result in enumerate(self._outcomes) if result.problem is None]
        if not good:
            return
        shown: list[Any] = [batch.items[at].picture for at in good]
        targets = [batch.targets[at] for at in good]
        maps = np.asarray(batch.explanation.saliency)[good]
        found = common_numbers(self.job, shown, targets, maps)
        for at, numbers in zip(good, found, strict=True):
            self._outcomes[at].record["numbers"] = numbers

    def _smaller(self, batch_size: int) -> None:
        plural = "" if batch_size == 1 else "s"
        self._meter.say(f"out of memory: going on with {batch_size} picture{plural} per call")

    def _progress(self, done: float, finished: int) -> None:
        self._meter.show(done, finished)
        if time.monotonic() - self._page_written > PAGE_EVERY:
            self.finish()
