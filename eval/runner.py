"""The engine behind the studies: what is missing is explained, scored and stored, row by row.

    DIR/study.json                       what is compared; the report reads it
    DIR/results.zarr/pictures            the pictures with labels and boxes
    DIR/results.zarr/rows/ROW            maps, see `fidojax.engine`
    DIR/results.zarr/scores/SET/ROW      numbers of those maps

Every folder under results.zarr is a `fidojax.ledger.Ledger`. A run that was killed goes on where
it was and ends with the same bits. Processes may share a run, each with its `--shard`; the numbers
that need all maps are computed by whoever finds them all there.
"""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import rich
from rich.console import Console

from eval.boxes import padded
from eval.cost import Cost, costs
from eval.counting import Passes
from eval.report import terminal_table
from eval.scores import Maps, ScoreSet
from eval.store import digest, environment, write_text
from eval.study import Row, Study, plain
from eval.subject import Run, Subject
from fidojax.engine import Item, Request, explain_missing
from fidojax.ledger import CHUNK, DONE, Ledger, read_maps
from fidojax.meter import Meter, span
from fidojax.shard import parse_shard


def conduct(study: Study, run: Run, of: Subject, settings: Mapping[str, Any]) -> None:
    """Runs the study, or what is missing of it.

    Args:
        settings: what the protocol was told beside `run`, for the report.
    """
    console = rich.get_console()
    common = {
        "data": run.data,
        "classifier": f"{run.classifier} {digest(of.model.classifier)}",
        "micro_batch": run.micro_batch,
        "seed": run.seed,
    }
    shard = parse_shard(run.shard)
    if not run.dry_run:
        _store_pictures(run, of, common)
        _store_study(study, run, dict(settings) | common, {})
    ledgers = {name: _open_row(run, name, row, of, common) for name, row in study.rows.items()}
    classes = len(of.model.labels)
    cost = costs(study.rows, ledgers, of.model.classifier, of.model.size, classes, run.micro_batch)
    console.print(_announcement(study, run, of, cost, shard))
    if run.dry_run:
        console.print(
            terminal_table([each.line(name) for name, each in cost.items()], "What it costs")
        )
        return
    _store_study(study, run, dict(settings) | common, cost)
    failures = 0
    for number, (name, row) in enumerate(study.rows.items(), start=1):
        failures += _explain(
            run, name, row, ledgers[name], of, shard, console, number, len(study.rows)
        )
        _score_row(run, study, name, ledgers, of, shard)
    for name in study.rows:  # those that needed a later row's maps
        _score_row(run, study, name, ledgers, of, shard)
    missing = sum(len(ledger.missing()) for ledger in ledgers.values()) - failures
    if failures:
        console.print(f"{failures} maps failed; the report says which and why")
    if missing > 0:
        console.print(f"{missing} maps belong to other shards; run this again when those are done")
    console.print(
        f"Results in {run.out}; python -m eval.report {run.out} shows them", soft_wrap=True
    )


def _open_row(run: Run, name: str, row: Row, of: Subject, common: Mapping[str, Any]) -> Ledger:
    settings = dict(common) | {
        "method": row.name,
        "options": plain(row.options),
        "row_seed": row.seed,
        "pictures": digest(of.drawn.images),
    }
    path = run.out / "results.zarr" / "rows" / name
    count = min(row.limit or len(of.drawn.ids), len(of.drawn.ids))
    return Ledger(path, count, settings, provenance=environment(), chunk=_chunk(run))


def _explain(run, name, row, ledger, of: Subject, shard, console: Console, number, rows) -> int:
    """Explains a row's missing pictures; how many failed."""
    missing = ledger.missing(shard)
    if not len(missing):
        return 0
    pictures = of.picture_list
    request = Request(
        row.method, of.model.classifier, row.options, run.seed + row.seed, run.micro_batch,
        each=row.each,
    )  # fmt: skip
    items = (Item(int(i), pictures[i].id, pictures[i]) for i in missing)
    with Meter(console, len(missing), name=f"{name} ({number} of {rows})") as meter:
        tally = explain_missing(
            ledger, request, items, lambda batch: [picture.label for picture in batch],  # type: ignore
            progress=meter.show,
        )  # fmt: skip
    for bad in tally.failures:
        console.print(f"{name}: {bad}", markup=False, soft_wrap=True)
    return len(tally.failures)


def _score_row(
    run: Run, study: Study, name: str, ledgers: Mapping[str, Ledger], of: Subject, shard
) -> None:
    for kind, scores in study.scores.items():
        _score(run, name, study.rows[name], kind, scores, ledgers, of, shard)


def _score(
    run, name, row, kind, scores: ScoreSet, ledgers: Mapping[str, Ledger], of: Subject, shard
) -> None:
    """Scores a row's maps that have not been scored."""
    maps = ledgers[name]
    limit = min(scores.limit or len(maps), len(maps))
    settings = maps.settings | {"scores": json.loads(json.dumps(scores.settings))}
    path = run.out / "results.zarr" / "scores" / kind / name
    ledger = Ledger(path, limit, settings, provenance=environment(), chunk=_chunk(run))
    done = maps.status == DONE
    if scores.whole:
        if (maps.status == 0).any() or not len(ledger.missing()):
            return
        rows = np.flatnonzero(done)
    else:
        missing = ledger.missing(shard)
        rows = missing[done[missing]]
    size = max(len(rows), 1) if scores.whole else _chunk(run)
    for first in range(0, len(rows), size):  # so that a kill loses little
        _measure(run, row, scores, ledgers, maps, ledger, of, rows[first : first + size])


def _measure(run, row, scores, ledgers, maps: Ledger, ledger: Ledger, of: Subject, rows) -> None:
    given = Maps(
        of.model.classifier, of.drawn.rows(rows), maps.read("targets", rows),
        read_maps(maps, rows), row.cut, run.seed,
        lambda other: _maps_of(ledgers[other], rows),
    )  # fmt: skip
    columns = {key: _stored(values) for key, values in scores.compute(given).items()}
    if columns:
        ledger.write(rows, given.drawn.ids, columns)


def _maps_of(ledger: Ledger, rows: np.ndarray) -> np.ndarray | None:
    """None where one of the rows is not there yet."""
    return read_maps(ledger, rows) if (ledger.status[rows] == DONE).all() else None


def _stored(values: Any) -> np.ndarray:
    values = np.asarray(values)
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def _store_pictures(run: Run, of: Subject, common: Mapping[str, Any]) -> None:
    drawn = of.drawn
    ledger = Ledger(
        run.out / "results.zarr" / "pictures", len(drawn.ids),
        dict(common) | {"pictures": digest(drawn.images)},
        provenance=environment() | {"label_names": list(of.model.labels)}, chunk=CHUNK,
    )  # fmt: skip
    if len(ledger.missing()):
        columns = {
            "images": np.round(drawn.images * 255).astype(np.uint8),
            "labels": drawn.labels.astype(np.int32),
            "predictions": drawn.predictions.astype(np.int32),
            "boxes": padded(drawn.boxes),
        }
        ledger.write(np.arange(len(drawn.ids)), drawn.ids, columns)


def _store_study(
    study: Study, run: Run, settings: Mapping[str, Any], cost: Mapping[str, Cost]
) -> None:
    rows = {
        name: {
            "label": name,
            "method": row.name,
            "group": row.group,
            "options": ", ".join(f"{key} {value}" for key, value in plain(row.options).items()),
            "why": row.why,
            "passes": passes._asdict() if (passes := _passes(cost, name)) else None,
            "limit": row.limit,
        }
        for name, row in study.rows.items()
    }
    command = f"python -m eval.run {study.name} --out {run.out.name} ..."
    contents = study.plain() | {"rows": rows, "settings": plain(settings), "command": command}
    write_text(run.out / "study.json", json.dumps(contents, indent=2, ensure_ascii=False) + "\n")


def _passes(cost: Mapping[str, Cost], name: str) -> Passes | None:
    return cost[name].passes if name in cost else None


def _announcement(study: Study, run: Run, of: Subject, cost: Mapping[str, Cost], shard) -> str:
    waiting = sum(each.missing for each in cost.values())
    seconds = sum(each.seconds for each in cost.values())
    part = "" if shard == (0, 1) else f", of which this process takes 1/{shard[1]}"
    return (
        f"{study.title}: {len(study.rows)} rows on {len(of.drawn.ids)} pictures, "
        f"{waiting} maps to explain{part}; about {span(seconds)} in all on "
        f"{jax.local_device_count()} x {jax.devices()[0].device_kind}"
    )


def _chunk(run: Run) -> int:
    """Rows per file: whole batches, so that a batch is written once."""
    return run.micro_batch * -(-CHUNK // run.micro_batch)
