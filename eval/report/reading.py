"""Read a run from disk, finished or not."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fidojax.runs import DONE, Ledger, find_ledger, read_maps

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
    """A run on disk, finished or not.

    Attributes:
        path: the run's folder.
        study: study.json, with a value for everything that is optional.
        pictures: the ledger of the pictures.
        explained: the ledger of each row's maps, of the rows that have one.
        scored: the ledgers of scores by set and row, of those that exist.
    """

    path: Path
    study: Mapping[str, Any]
    pictures: Ledger
    explained: Mapping[str, Ledger]
    scored: Mapping[tuple[str, str], Ledger]

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def sets(self) -> list[str]:
        """Names of the sets of scores, in the order of the numbers."""
        measured = (*self.study["numbers"].values(), *self.study["curves"].values())
        return list(dict.fromkeys(one["set"] for one in measured))

    def expected(self, row: str, scores: str | None = None) -> int:
        """The number of pictures that the row explains, or that a set of scores measures."""
        limit = self.study["rows"][row]["limit"]
        if scores is not None and self.folder(row, scores) is None:
            return 0
        # A set may be limited too, which its ledgers tell.
        lengths = [len(one) for (name, _), one in self.scored.items() if name == scores]
        ends = [len(self), max(lengths, default=len(self)), len(self) if limit is None else limit]
        return min(ends)

    def folder(self, row: str, scores: str) -> str | None:
        """The folder of a row's scores; None where the row is not measured by the set."""
        return self.study["rows"][row]["scores"].get(scores, scores)

    @property
    def tables(self) -> dict[str, list[dict[str, str]]]:
        """The study's own tables by title; none where the run is not complete."""
        path = self.path / "tables.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}

    @property
    def figures(self) -> list[Path]:
        """The study's own figures, in the order of their names."""
        return sorted((self.path / "figures").glob("*.png"))

    def values(self, number: str, row: str) -> np.ndarray:
        """A number of every picture, NaN where there is none: "n"."""
        of = self.study["numbers"][number]
        found = self.column(of["set"], row, of["column"])
        if found is None:
            return np.full(len(self), np.nan)
        return found if of["index"] is None else found[:, of["index"]]

    def curve(self, name: str, row: str) -> np.ndarray:
        """A curve of every picture, NaN where there is none: "n x"."""
        of = self.study["curves"][name]
        found = self.column(of["set"], row, of["column"])
        return np.full((len(self), len(of["x"])), np.nan) if found is None else found

    def samples(self) -> dict[str, dict[str, np.ndarray]]:
        """By the label of each number and by row, one value per picture."""
        return {
            of["label"]: {row: self.values(key, row) for row in self.study["rows"]}
            for key, of in self.study["numbers"].items()
        }

    def maps(self, row: str, rows: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """The maps of some pictures, or of all that the row explains; NaN where one failed."""
        return read_maps(self.explained[row], rows)

    def column(self, scores: str, row: str, name: str) -> np.ndarray | None:
        """A stored column of scores as float64 "n ...", NaN where there is none; or None."""
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
        ValueError: there is no run, or its study.json is not what a runner writes.
    """
    path = Path(path)
    study = _study(path / "study.json")
    stored = path / "results.zarr"
    pictures = find_ledger(stored / "pictures")
    if pictures is None:
        raise ValueError(f"{path} has no pictures yet: there is no results.zarr/pictures")
    explained = {row: find_ledger(stored / "rows" / row) for row in study["rows"]}
    run = StoredRun(path, study, pictures, _begun(explained), {})
    scored = {}
    for row, of in study["rows"].items():
        for name in dict.fromkeys((*run.sets, *of["scores"])):
            folder = run.folder(row, name)
            if folder is not None:
                scored[name, row] = find_ledger(stored / "scores" / folder / row)
    return StoredRun(path, study, pictures, run.explained, _begun(scored))


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
    """The given entries with the optional ones; KeyError where a required one is missing."""
    for name in names:
        if name not in given:
            raise KeyError(f"{place}.{name}")
    return {**optional, **given}


def _begun(ledgers: Mapping[Any, Ledger | None]) -> dict[Any, Ledger]:
    return {key: ledger for key, ledger in ledgers.items() if ledger is not None}
