"""The engine behind the studies: what is missing is explained, scored and stored, row by row.

    DIR/study.json                       what is compared; the report reads it
    DIR/gallery.png                      the first pictures with all maps
    DIR/results.zarr/pictures            the pictures with labels and boxes
    DIR/results.zarr/rows/ROW            maps, see `fidojax.runs.resume`
    DIR/results.zarr/scores/SET/ROW      numbers of those maps

Every folder under results.zarr is a `fidojax.runs.ledger.Ledger`. A run that was killed goes on where
it was and ends with the same bits. Processes may share a run, each with its `--shard`; the numbers
that need all maps are computed by whoever finds them all there.
"""

import dataclasses
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import rich
from rich.console import Console

from eval.cost import Cost, costs
from eval.report import Panel, panels, terminal_table
from eval.scoring import score_row
from eval.study import Study, StudyRow, plain
from eval.subject import StudyRun, Subject
from fidojax.data import padded
from fidojax.runs import (
    DONE,
    Item,
    Ledger,
    ProgressBar,
    Request,
    digest,
    duration,
    environment,
    explain_missing,
    find_ledger,
    parse_shard,
    read_maps,
    rows_per_file,
    write_text,
)


def conduct(study: Study, run: StudyRun, of: Subject, settings: Mapping[str, Any]) -> None:
    """Runs the study, or what is missing of it.

    Args:
        settings: what the protocol was told beside `run`, for the report.
    """
    console = rich.get_console()
    common = {
        "data": run.data,
        "classifier": f"{run.classifier} {digest(of.model.classifier)}",
        "batch_size": run.batch_size,
        "seed": run.seed,
        "pictures": digest(of.drawn.images),
    }
    shard = parse_shard(run.shard)
    if run.dry_run:
        found = {
            name: find_ledger(_path(run, name), _row_settings(row, common))
            for name, row in study.rows.items()
        }
        cost = costs(study.rows, found, of, run.batch_size)
        console.print(_announcement(study, run, of, cost, shard))
        console.print(
            terminal_table([each.line(name) for name, each in cost.items()], "What it costs")
        )
        return
    store_pictures(run, of, common)
    ledgers = {
        name: _open_row(run, name, row, of, common, shard) for name, row in study.rows.items()
    }
    cost = costs(study.rows, ledgers, of, run.batch_size)
    console.print(_announcement(study, run, of, cost, shard))
    store_study(study, run, settings, common, cost)
    failures = 0
    for number, (name, row) in enumerate(study.rows.items(), start=1):
        later = sum(each.seconds for each in list(cost.values())[number:]) / shard[1]
        place = f"{name} ({number} of {len(study.rows)})"
        failures += _explain(run, place, row, ledgers[name], of, shard, console, later)
        score_row(run, study, name, ledgers, of, shard)
    for name in study.rows:  # those that needed a later row's maps, or another shard's
        score_row(run, study, name, ledgers, of, shard)
    store_gallery(run, of, ledgers)
    counts = {name: row.count(len(of.drawn.ids)) for name, row in study.rows.items()}
    left = (np.sum(ledgers[name].missing() < count) for name, count in counts.items())
    missing = int(sum(left)) - failures
    if failures:
        console.print(f"{failures} maps failed; the report says which and why")
    if missing > 0:
        console.print(f"{missing} maps belong to other shards; run this again when those are done")
    console.print(
        f"Results in {run.out}; python -m eval.report {run.out} shows them", soft_wrap=True
    )


def _path(run: StudyRun, name: str) -> Path:
    return run.out / "results.zarr" / "rows" / name


def _row_settings(row: StudyRow, common: Mapping[str, Any]) -> dict[str, Any]:
    own = {} if row.classifier is None else {"row_classifier": digest(row.classifier)}
    settings = {"method": row.name, "options": plain(row.options), "row_seed": row.seed}
    return {**common, **own, **settings}


def _open_row(
    run: StudyRun,
    name: str,
    row: StudyRow,
    of: Subject,
    common: Mapping[str, Any],
    shard: tuple[int, int],
) -> Ledger:
    count = row.count(len(of.drawn.ids))
    chunk = rows_per_file(count, run.batch_size, shard[1])
    settings = _row_settings(row, common)
    return Ledger(_path(run, name), count, settings, provenance=environment(), chunk=chunk)


def _explain(run, name, row, ledger, of: Subject, shard, console: Console, later: float) -> int:
    """Explains a row's missing pictures; how many failed."""
    missing = ledger.missing(shard)
    missing = missing[missing < row.count(len(of.drawn.ids))]
    if not len(missing):
        return 0
    pictures = of.picture_list
    request = Request(
        row.method, row.of(of.model.classifier), row.options, run.seed + row.seed, run.batch_size,
        each=row.each,
    )  # fmt: skip
    items = (Item(int(i), pictures[i].id, pictures[i]) for i in missing)
    with ProgressBar(console, len(missing), name=name, later=later) as meter:
        tally = explain_missing(
            ledger, request, items, lambda batch: [picture.label for picture in batch],  # type: ignore
            progress=meter.show,
        )  # fmt: skip
    for bad in tally.failures:
        console.print(f"{name}: {bad}", markup=False, soft_wrap=True)
    return len(tally.failures)


def _announcement(study: Study, run: StudyRun, of: Subject, cost: Mapping[str, Cost], shard) -> str:
    waiting = sum(each.missing for each in cost.values())
    seconds = sum(each.seconds for each in cost.values())
    part = "" if shard == (0, 1) else f", of which this process takes 1/{shard[1]}"
    return (
        f"{study.title}: {len(study.rows)} rows on {len(of.drawn.ids)} pictures, "
        f"{waiting} maps to explain{part}; about {duration(seconds)} in all on "
        f"{jax.local_device_count()} x {jax.devices()[0].device_kind}"
    )


SHOWN = 10
"""Pictures in a gallery."""


def store_pictures(run: StudyRun, of: Subject, common: Mapping[str, Any]) -> None:
    drawn = of.drawn
    ledger = Ledger(
        run.out / "results.zarr" / "pictures", len(drawn.ids), common,
        provenance=environment() | {"label_names": list(of.model.labels)},
    )  # fmt: skip
    if len(ledger.missing()):
        columns = {
            "images": np.round(drawn.images * 255).astype(np.uint8),
            "labels": drawn.labels.astype(np.int32),
            "predictions": drawn.predictions.astype(np.int32),
            "boxes": padded(drawn.boxes),
        }
        ledger.write(np.arange(len(drawn.ids)), drawn.ids, columns)


def store_study(
    study: Study,
    run: StudyRun,
    chosen: Mapping[str, Any],
    common: Mapping[str, Any],
    cost: Mapping[str, Cost],
) -> None:
    rows = {
        name: {
            "label": name,
            "method": row.name,
            "group": row.group,
            "options": ", ".join(f"{key} {value}" for key, value in plain(row.options).items()),
            "why": row.why,
            "passes": passes._asdict() if (passes := cost[name].passes) else None,
            "limit": row.limit,
            "like": row.like,
            "scores": {kind: study.folder(name, kind) for kind in study.scores},
        }
        for name, row in study.rows.items()
    }
    command = _command(study.name, run, chosen)
    contents = study.plain() | {
        "rows": rows,
        "settings": plain(dict(chosen) | dict(common)),
        "command": command,
    }
    write_text(run.out / "study.json", json.dumps(contents, indent=2, ensure_ascii=False) + "\n")


def store_gallery(run: StudyRun, of: Subject, ledgers: Mapping[str, Ledger]) -> None:
    """gallery.png: the first pictures of which every row has a map, all rows below each other."""
    shortest = min(map(len, ledgers.values()))
    finished = [ledger.status[:shortest] == DONE for ledger in ledgers.values()]
    rows = np.flatnonzero(np.all(finished, axis=0))[:SHOWN]
    if not len(rows):
        return
    maps = {name: read_maps(ledger, rows) for name, ledger in ledgers.items()}
    columns = [
        Panel(
            of.drawn.images[row], of.model.labels[of.drawn.labels[row]],
            {name: found[at] for name, found in maps.items()},
        )
        for at, row in enumerate(rows)
    ]  # fmt: skip
    panels(run.out / "gallery.png", columns)


def _command(name: str, run: StudyRun, chosen: Mapping[str, Any]) -> str:
    """The command line that makes this run."""
    words = ["python", "-m", "eval.run", name]
    fields = {
        field.name: getattr(run, field.name)
        for field in dataclasses.fields(run)
        if getattr(run, field.name) != field.default and field.name not in ("shard", "dry_run")
    }
    for option, value in {**fields, **chosen}.items():
        values = value if isinstance(value, tuple | list) else [value]
        if value is not None and values and not isinstance(value, bool):
            words += [f"--{option.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)
