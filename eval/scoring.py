"""Scores of stored maps: which are missing, measure those, store them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from eval.scores import Maps
from eval.study import Study
from eval.subject import StudyRun, Subject
from fidojax.runs import CHUNK, DONE, MISSING, Ledger, environment, read_maps


def score_row(
    run: StudyRun, study: Study, name: str, ledgers: Mapping[str, Ledger], of: Subject, shard
) -> None:
    """Measures and stores what has not been, of a row's maps.

    Args:
        ledgers: of all rows' maps.
        shard: see `fidojax.runs.ledger.Ledger.rows_of`.
    """
    for kind in study.scores:
        _score(run, study, name, kind, ledgers, of, shard)


def _score(
    run, study: Study, name: str, kind: str, ledgers: Mapping[str, Ledger], of: Subject, shard
) -> None:
    row, scores, maps = study.rows[name], study.scores[kind], ledgers[name]
    count = row.count(len(of.drawn.ids))
    limit = min(scores.limit or count, count)
    reference = {"reference": row.like} if scores.compared else {}
    settings = maps.settings | {"scores": {**scores.settings, **reference}}
    path = run.out / "results.zarr" / "scores" / study.folder(name, kind) / name
    # In files like those of the maps, so that a shard scores what it has explained.
    ledger = Ledger(path, limit, settings, provenance=environment(), chunk=maps.chunk)
    status = maps.status[:limit]
    if scores.whole:
        if (status == MISSING).any() or not len(ledger.missing()):
            return
        rows = np.flatnonzero(status == DONE)
    else:
        missing = ledger.missing(shard)
        missing = missing[missing < limit]
        rows = missing[status[missing] == DONE]
    size = max(len(rows), 1) if scores.whole else CHUNK
    for first in range(0, len(rows), size):  # so that a kill loses little
        _measure(run, row, scores, ledgers, maps, ledger, of, rows[first : first + size])


def _measure(run, row, scores, ledgers, maps: Ledger, ledger: Ledger, of: Subject, rows) -> None:
    given = Maps(
        row.of(of.model.classifier), of.drawn.rows(rows), maps.read("targets", rows),
        read_maps(maps, rows), row.cut, run.seed,
        lambda: _maps_of(ledgers[row.like], rows),
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
