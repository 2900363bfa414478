"""Conduct a study: explain, score and store what is missing, row by row.

    DIR/study.json                       what is compared; the report reads it
    DIR/tables.json                      the study's own further tables
    DIR/gallery.png                      the first pictures with all maps
    DIR/figures                          the study's own further figures
    DIR/results.zarr/pictures            the pictures with labels and boxes
    DIR/results.zarr/rows/ROW            maps, see `fidojax.runs.explain_missing`
    DIR/results.zarr/scores/SET/ROW      numbers of those maps

Every folder under results.zarr is a `fidojax.runs.Ledger`. A run that was killed goes on where it
was and ends with the same bits; a larger limit adds pictures to it. Processes may share a run, each
with its `--shard`; the numbers that need all maps are computed by the process that finds them all
there.
"""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import rich
from rich.console import Console

from eval.cost import Cost, costs
from eval.ledgers import open_ledger
from eval.report import Panel, panels, terminal_table
from eval.report.reading import read
from eval.scoring import Scorer
from eval.study import Study, plain
from eval.subject import StudyRun, Subject
from fidojax.core import printable
from fidojax.data import padded, write_json
from fidojax.engine import ExplainRequest
from fidojax.runs import (
    DONE,
    Item,
    Ledger,
    ProgressBar,
    digest,
    duration,
    environment,
    explain_missing,
    find_ledger,
    parse_shard,
    read_maps,
    rows_per_file,
)

SHOWN = 10
"""Pictures in gallery.png."""


def conduct(
    study: Study,
    run: StudyRun,
    subject: Subject,
    settings: Mapping[str, Any],
    command: str | None = None,
) -> None:
    """Run the study, or what is missing of it.

    Args:
        settings: the protocol's own options, for the report and its command line.
        command: the command line that makes this run, where it is part of another run.
    """
    command = command or command_line(study.name, run, settings)
    _Conductor(study, run, subject, settings, command, rich.get_console()).go()


class _Conductor:
    """One run of a study in one process."""

    def __init__(
        self,
        study: Study,
        run: StudyRun,
        subject: Subject,
        settings: Mapping[str, Any],
        command: str,
        console: Console,
    ) -> None:
        self._study, self._run, self._subject = study, run, subject
        self._settings, self._command, self._console = settings, command, console
        self._shard = parse_shard(run.shard)
        self._common = {
            "data": run.data,
            "classifier": f"{run.classifier} {digest(subject.model.classifier)}",
            "batch_size": run.batch_size,
            "seed": run.seed,
            "pictures": digest(subject.drawn.images[: self._began_with()]),
        }

    def go(self) -> None:
        rows = self._study.rows
        if self._run.dry_run:
            found = {name: find_ledger(self._path(name), self._row_settings(name)) for name in rows}
            cost = self._costs(found)
            self._announce(cost)
            lines = [each.line(name) for name, each in cost.items()]
            self._console.print(terminal_table(lines, "What it costs"))
            return
        self._store_pictures()
        ledgers = {name: self._ledger(name) for name in rows}
        cost = self._costs(ledgers)
        self._announce(cost)
        self._store_study(cost)
        scorer = Scorer(self._study, self._run, self._subject, ledgers, self._shard)
        failures = 0
        for number, name in enumerate(rows, start=1):
            following = sum(each.seconds for each in list(cost.values())[number:])
            later = (cost[name].scoring + following) / self._shard[1]
            failures += self._explain(name, number, ledgers[name], later)
            scorer.score(name)
        for name in rows:  # those that needed a later row's maps, or another shard's
            scorer.score(name)
        self._store_gallery(ledgers)
        left = (np.sum(ledgers[name].missing() < self._count(name)) for name in rows)
        missing = int(sum(left)) - failures
        if missing <= 0:
            self._store_extras()
        self._conclude(failures, missing)

    def _costs(self, ledgers: Mapping[str, Ledger | None]) -> dict[str, Cost]:
        return costs(self._study, self._run.out, ledgers, self._subject, self._run.batch_size)

    def _began_with(self) -> int:
        """The number of pictures that the run had at first; a larger limit adds pictures to it."""
        count = len(self._subject.drawn.ids)
        stored = find_ledger(self._pictures_path)
        if stored is None or len(stored) > count:
            return count
        return stored.provenance.get("began_with", len(stored))

    @property
    def _pictures_path(self) -> Path:
        return self._run.out / "results.zarr" / "pictures"

    def _path(self, name: str) -> Path:
        return self._run.out / "results.zarr" / "rows" / name

    def _row_settings(self, name: str) -> dict[str, Any]:
        return {**self._common, **self._study.rows[name].settings()}

    def _count(self, name: str) -> int:
        return self._study.rows[name].count(len(self._subject.drawn.ids))

    def _batch_size(self, name: str) -> int:
        return self._study.rows[name].batch_size or self._run.batch_size

    def _ledger(self, name: str) -> Ledger:
        count = self._count(name)
        chunk = rows_per_file(count, self._batch_size(name), self._shard[1])
        settings = self._row_settings(name)
        return open_ledger(self._path(name), count, settings, self._shard, chunk=chunk)

    def _explain(self, name: str, number: int, ledger: Ledger, later: float) -> int:
        """Explain a row's missing pictures; return how many failed."""
        missing = ledger.missing(self._shard)
        missing = missing[missing < self._count(name)]
        if not len(missing):
            return 0
        row, pictures = self._study.rows[name], self._subject.picture_list
        targets = dict(
            zip(self._subject.drawn.ids, self._subject.targets(row.targets).tolist(), strict=True)
        )
        request = ExplainRequest(
            row.method,
            row.explained_classifier(self._subject.model.classifier),
            row.options,
            self._run.seed + row.seed,
            self._batch_size(name),
        )
        items = (Item(int(i), pictures[i].id, pictures[i]) for i in missing)
        place = f"{name} ({number} of {len(self._study.rows)})"
        group = request.pictures_at_once
        with ProgressBar(
            self._console, len(missing), name=place, later=later, group=group
        ) as meter:
            tally = explain_missing(
                ledger,
                request,
                items,
                lambda batch: [targets[picture.id] for picture in batch],
                each=row.each,
                record=row.record,
                progress=meter.show,
            )
        for bad in tally.failures:
            self._console.print(f"{place}: {printable(bad)}", markup=False, soft_wrap=True)
        return len(tally.failures)

    def _announce(self, cost: Mapping[str, Cost]) -> None:
        waiting = sum(each.missing for each in cost.values())
        seconds = sum(each.seconds for each in cost.values())
        shards = self._shard[1]
        part = "" if shards == 1 else f", of which this process takes 1/{shards}"
        before = sum(map(self._count, self._study.rows)) - waiting
        part = (f", {before} done before" if before else "") + part
        self._console.print(
            f"{self._study.title}: {len(self._study.rows)} rows on "
            f"{len(self._subject.drawn.ids)} pictures, {waiting} maps to explain{part}; about "
            f"{duration(seconds)} in all on "
            f"{jax.local_device_count()} x {jax.devices()[0].device_kind}"
        )

    def _conclude(self, failures: int, missing: int) -> None:
        if failures:
            self._console.print(f"{failures} maps failed; the report says which and why")
        if missing > 0:
            self._console.print(
                f"{missing} maps belong to other shards; run this again when those are done"
            )
        self._console.print(
            f"Results in {self._run.out}; python -m eval.report {self._run.out} shows them",
            soft_wrap=True,
        )

    def _store_pictures(self) -> None:
        drawn = self._subject.drawn
        provenance = environment() | {
            "label_names": list(self._subject.model.labels),
            "began_with": self._began_with(),
        }
        # Every process writes all of it, so that each may repair all of it.
        ledger = open_ledger(
            self._pictures_path, len(drawn.ids), self._common, (0, 1), provenance=provenance
        )
        if len(ledger.missing()):
            columns = {
                "images": np.round(drawn.images * 255).astype(np.uint8),
                "labels": drawn.labels.astype(np.int32),
                "predictions": drawn.predictions.astype(np.int32),
                "boxes": padded(drawn.boxes),
            }
            ledger.write(np.arange(len(drawn.ids)), drawn.ids, columns)

    def _store_study(self, cost: Mapping[str, Cost]) -> None:
        rows = {}
        for name, row in self._study.rows.items():
            options = plain(row.options).items()
            passes = cost[name].passes
            rows[name] = {
                "label": name,
                "method": row.name,
                "group": row.group,
                "options": ", ".join(f"{key} {value}" for key, value in options),
                "why": row.why,
                "passes": passes._asdict() if passes else None,
                "limit": row.limit,
                "like": row.like,
                "scores": self._study.folders(name),
            }
        contents = self._study.plain() | {
            "rows": rows,
            "settings": plain(dict(self._settings) | self._common),
            "command": self._command,
        }
        write_json(self._run.out / "study.json", contents)

    def _store_gallery(self, ledgers: Mapping[str, Ledger]) -> None:
        """Draw the first pictures of which every row has a map, all rows below each other.

        Rows that explain fewer pictures than the gallery shows are left out.
        """
        drawn = self._subject.drawn
        enough = min(SHOWN, len(drawn.ids))
        shown = {name: ledgers[name] for name in ledgers if self._count(name) >= enough}
        if not shown:
            return
        shortest = min(map(len, shown.values()))
        finished = [ledger.status[:shortest] == DONE for ledger in shown.values()]
        rows = np.flatnonzero(np.all(finished, axis=0))[:SHOWN]
        if not len(rows):
            return
        maps = {name: read_maps(ledger, rows) for name, ledger in shown.items()}
        columns = [
            Panel(
                drawn.images[row],
                self._subject.model.labels[drawn.labels[row]],
                {name: found[at] for name, found in maps.items()},
            )
            for at, row in enumerate(rows)
        ]
        panels(self._run.out / "gallery.png", columns)

    def _store_extras(self) -> None:
        """Write the study's own tables and figures of the complete run."""
        stored = read(self._run.out)
        if self._study.tables is not None:
            tables = self._study.tables(stored)
            write_json(self._run.out / "tables.json", tables)
            for title, lines in tables.items():
                self._console.print(terminal_table(lines, title))
        if self._study.figures is not None:
            folder = self._run.out / "figures"
            folder.mkdir(exist_ok=True)
            self._study.figures(stored, folder)


def command_line(name: str, run: StudyRun, chosen: Mapping[str, Any]) -> str:
    """The command line that makes the run of a protocol.

    Args:
        chosen: the protocol's own options.
    """
    words = ["python", "-m", "eval.run", name]
    always = ("out", "data", "classifier", "limit", "batch_size")  # protocols differ in these
    never = ("shard", "distributed", "dry_run")
    fields = {
        field.name: getattr(run, field.name)
        for field in dataclasses.fields(run)
        if field.name in always
        or (field.name not in never and getattr(run, field.name) != field.default)
    }
    for option, value in {**fields, **chosen}.items():
        name = f"--{option.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(name if value else name.replace("--", "--no-", 1))
        elif value is None:
            words += [name, "None"] if option == "limit" else []
        elif not isinstance(value, tuple | list) or value:
            words += [name, *map(str, value if isinstance(value, tuple | list) else [value])]
    return shlex.join(words)
