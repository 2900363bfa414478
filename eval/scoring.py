"""Scores of stored maps: find which are missing, measure those, store them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eval.ledgers import open_ledger
from eval.scores import Maps
from eval.study import Study
from eval.subject import StudyRun, Subject
from fidojax.runs import CHUNK, DONE, MISSING, Ledger, read_maps


class Scorer(NamedTuple):
    """Measures and stores the scores of a study's rows.

    Attributes:
        ledgers: of the maps of each row.
        shard: see `fidojax.runs.Ledger.rows_of`.
    """

    study: Study
    run: StudyRun
    subject: Subject
    ledgers: Mapping[str, Ledger]
    shard: tuple[int, int]

    def score(self, name: str) -> None:
        """Measure what has not been measured of a row's maps."""
        for kind in self.study.sets_of(name):
            self._score(name, kind)

    def _score(self, name: str, kind: str) -> None:
        row, scores, maps = self.study.rows[name], self.study.scores[kind], self.ledgers[name]
        count = row.count(len(self.subject.drawn.ids))
        limit = min(scores.limit or count, count)
        reference = {"reference": row.like} if scores.compared else {}
        settings = maps.settings | {"scores": {**scores.settings, **reference}}
        path = scores_path(self.study, self.run.out, name, kind)
        # In files like those of the maps, so that a shard scores what it has explained.
        ledger = open_ledger(path, limit, settings, self.shard, chunk=maps.chunk)
        status = maps.status[:limit]
        if scores.whole:
            if (status == MISSING).any() or not len(ledger.missing()):
                return
            rows = np.flatnonzero(status == DONE)
        else:
            missing = ledger.missing(self.shard)
            missing = missing[missing < limit]
            rows = missing[status[missing] == DONE]
        size = max(len(rows), 1) if scores.whole else CHUNK
        for first in range(0, len(rows), size):  # so that a kill loses little
            self._measure(name, kind, ledger, rows[first : first + size])

    def _measure(self, name: str, kind: str, ledger: Ledger, rows: np.ndarray) -> None:
        row, maps = self.study.rows[name], self.ledgers[name]
        given = Maps(
            row.explained_classifier(self.subject.model.classifier),
            self.subject.drawn.rows(rows),
            maps.read("targets", rows),
            read_maps(maps, rows),
            row,
            self.run.seed,
            lambda other: _maps_of(self.ledgers[other], rows),
            lambda column: maps.read(column, rows),
        )
        found = self.study.scores[kind].compute(given)
        columns = {key: _stored(values) for key, values in found.items()}
        if columns:
            ledger.write(rows, given.drawn.ids, columns)


def scores_path(study: Study, out: Path, name: str, kind: str) -> Path:
    """The ledger of a set of scores of a row, in the folder of the results."""
    return out / "results.zarr" / "scores" / study.folder(name, kind) / name


def _maps_of(ledger: Ledger, rows: np.ndarray) -> np.ndarray | None:
    """The maps of some rows, NaN where one failed; None where one is still missing."""
    there = len(ledger) > rows.max() and "maps" in ledger.names
    if not there or (ledger.status[rows] == MISSING).any():
        return None
    return read_maps(ledger, rows)


def _stored(values: Any) -> np.ndarray:
    values = np.asarray(values)
    return values.astype(np.float32) if values.dtype.kind == "f" else values
