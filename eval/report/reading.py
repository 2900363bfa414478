"""A run on disk, finished or not."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fidojax.runs import DONE, Ledger, find_ledger

BETTER = ("low", "high", "none")

_STUDY = {
    "name": "", "title": "", "reference": "", "about": "", "command": "", "settings": {},
    "curves": {}, "claims": [], "published": {}, "deviations": [], "reading": [],
    "gallery": "", "gallery_rows": [],
}  # fmt: skip
_ROW = {"method": "", "group": "", "options": "", "why": "", "passes": None, "limit": None,
        "like": "", "scores": {}}  # fmt: skip
_NUMBER = {"better": "none", "digits": 3, "index": None, "unit": ""}
_CURVE = {"xlabel": "", "ylabel": "", "better": "none"}
_CLAIM = {"text": "", "published": ""}


@dataclass(frozen=True)
class StoredRun:
    """What a study has stored.

    Attributes:
        study: study.json, with a value for everything that is optional.
        pictures: their ledger.
        explained: the ledger of each row that has one.
        scored: the same by set and row.
    """

    study: Mapping[str, Any]
    pictures: Ledger
    explained: Mapping[str, Ledger]
    scored: Mapping[tuple[str, str], Ledger]

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def sets(self) -> list[str]:
        """Of scores, in the order of the numbers."""
        measured = (*self.study["numbers"].values(), *self.study["curves"].values())
        return list(dict.fromkeys(one["set"] for one in measured))

    def expected(self, row: str, scores: str | None = None) -> int:
        """So many pictures the row is to have explained, or to have in a set of scores."""
        limit = self.study["rows"][row]["limit"]
        # A set may be limited too, which its ledgers tell.
        lengths = [len(one) for (name, _), one in self.scored.items() if name == scores]
        ends = [len(self), max(lengths, default=len(self)), len(self) if limit is None else limit]
        return min(ends)

    def values(self, number: str, row: str) -> np.ndarray:
        """Of a number for every picture, NaN where there is none: "n"."""
        of = self.study["numbers"][number]
        found = self._column(of["set"], row, of["column"])
        if found is None:
            return np.full(len(self), np.nan)
        return found if of["index"] is None else found[:, of["index"]]

    def curve(self, name: str, row: str) -> np.ndarray:
        """Of every picture, NaN where there is none: "n x"."""
        of = self.study["curves"][name]
        found = self._column(of["set"], row, of["column"])
        return np.full((len(self), len(of["x"])), np.nan) if found is None else found

    def _column(self, scores: str, row: str, name: str) -> np.ndarray | None:
        ledger = self.scored.get((scores, row))
        if ledger is None or name not in ledger.names:
            return None
        stored = ledger.read(name)
        values = np.full((len(self), *stored.shape[1:]), np.nan)
        values[: len(stored)] = stored
        values[: len(stored)][ledger.status != DONE] = np.nan
        return values


def read(path: str | Path) -> StoredRun:
    """The run in a folder.

    Raises:
        ValueError: there is none, or its study.json is not what a runner writes.
    """
    path = Path(path)
    study = _study(path / "study.json")
    stored = path / "results.zarr"
    pictures = find_ledger(stored / "pictures")
    if pictures is None:
        raise ValueError(f"{path} has no pictures yet: there is no results.zarr/pictures")
    explained = {row: find_ledger(stored / "rows" / row) for row in study["rows"]}
    run = StoredRun(study, pictures, _begun(explained), {})
    scored = {
        (name, row): find_ledger(stored / "scores" / of["scores"].get(name, name) / row)
        for name in run.sets
        for row, of in study["rows"].items()
    }
    return StoredRun(study, pictures, run.explained, _begun(scored))


def _study(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.parent} holds no run: there is no study.json")
    try:
        study = {**_STUDY, **json.loads(path.read_text("utf-8"))}
        for key, names, optional in (
            ("rows", (), _ROW),
            ("numbers", ("set", "column"), _NUMBER),
            ("curves", ("set", "column", "x"), _CURVE),
        ):
            study[key] = {
                name: _whole(f"{key}.{name}", of, names, {"label": name} | optional)
                for name, of in study[key].items()
            }
            labels = Counter(of["label"] for of in study[key].values())
            for name, of in study[key].items():
                of["label"] += f" ({name})" if labels[of["label"]] > 1 else ""
        names = ("better", "worse", "number")
        study["claims"] = [_whole("claims", claim, names, _CLAIM) for claim in study["claims"]]
    except KeyError as error:
        raise ValueError(f"{path} is not a study: it has no {error}") from error
    except (ValueError, TypeError, AttributeError) as error:  # the first where it is no JSON
        raise ValueError(f"{path} is not a study: {error}") from error
    for key, of in study["numbers"].items():
        if of["better"] not in BETTER:
            raise ValueError(
                f"{path}: number {key} has better={of['better']!r}, expected one of {BETTER}"
            )
    return study


def _whole(
    place: str, given: Mapping[str, Any], names: tuple[str, ...], optional: Mapping[str, Any]
) -> dict[str, Any]:
    """With what is optional; KeyError where one of the names is missing."""
    for name in names:
        if name not in given:
            raise KeyError(f"{place}.{name}")
    return {**optional, **given}


def _begun(ledgers: Mapping[Any, Ledger | None]) -> dict[Any, Ledger]:
    return {key: ledger for key, ledger in ledgers.items() if ledger is not None}
