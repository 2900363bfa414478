"""Results on disk as zarr, one row per picture. A killed run loses only the rows being computed.

A `Ledger` is a zarr group. Besides the columns that are written to it, "n ...", it has

    status   "n" uint8, MISSING, DONE or FAILED
    ids      "n", the picture's id, "" while unknown
    problem  "n", the reason why a row failed

Its attributes hold `settings`, everything that decides the results, `provenance`, and the dtypes
and shapes of the `columns`. zarr writes every file beside its place and renames it, and the status
of a row is written last: a row that is DONE is complete. Files have checksums, see
`fidojax.runs.damages`. Any zarr reader opens the group.

    ledger = find_ledger("run/results.zarr/rows/fido")
    maps = read_maps(ledger, np.flatnonzero(ledger.status == DONE))
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import zarr
from jaxtyping import Int, UInt8

from fidojax.data import Place, as_os_error, place
from fidojax.runs.columns import (
    DamagedError,
    create_column,
    naming,
    open_column,
    open_group,
    readable,
)

MISSING, DONE, FAILED = 0, 1, 2
"""The values of a row's `status`."""

CHUNK = 64
"""The largest number of rows in one file."""


class Ledger:
    """The results of one explainer, or one set of scores, for the pictures of a data set."""

    def __init__(
        self,
        path: str | Place,
        count: int,
        settings: Mapping[str, Any],
        *,
        provenance: Mapping[str, Any] | None = None,
        chunk: int = CHUNK,
    ) -> None:
        """Open the ledger, or create it.

        Args:
            path: the group's folder, such as `run/results.zarr/rows/fido`.
            count: the number of pictures. A ledger grows and never shrinks.
            settings: everything that decides the results, as JSON.
            provenance: what else is known of the results, as JSON. It does not change any more once
                a row is DONE.
            chunk: rows in one file (a chunk of zarr), see `rows_per_file`. An existing ledger keeps
                its own. Processes that write at the same time must not share a file, see `rows_of`.

        Raises:
            ValueError: the folder holds results of other settings.
            DamagedError: a file that describes the results cannot be read, or is missing.
        """
        self.path = place(path)
        settings = json.loads(json.dumps(settings))
        for parent in reversed(self.path.parents):  # so that the parent opens as zarr, too
            if ".zarr" in (above.suffix for above in (parent, *parent.parents)):
                open_group(parent, "a")
        self._group = open_group(self.path, "a")
        before: Any = self._group.attrs.get("settings")
        if before not in (None, settings):
            raise ValueError(
                f"{self.path} holds results of other settings ({_differing(before, settings)})"
            )
        self._chunk = chunk
        self._arrays: dict[str, zarr.Array] = {}
        self._count = count
        for name, dtype in (("status", "uint8"), ("ids", str), ("problem", str)):
            if before is not None and not (self.path / name / "zarr.json").exists():
                raise DamagedError(
                    f"{self.path / name}/zarr.json is missing; restore it, or delete {self.path}"
                )
            self._created(name, (count,), dtype)
        if before is None and self.status.any():
            raise DamagedError(
                f"{self.path}/zarr.json has no settings, so the results beside it may be of any; "
                f"restore it, or delete {self.path}"
            )
        known = dict(provenance or {})
        if before is None or (
            known and known != self.provenance and not (self.status == DONE).any()
        ):
            # In one write, so that no process sees half of it.
            self._group.update_attributes({"settings": settings, "provenance": known})
        self.grow(count)

    def __len__(self) -> int:
        return self._count

    def grow(self, count: int) -> None:
        """Extend the ledger to at least `count` rows.

        Several processes may do so at the same time if all of them ask for the same number.
        """
        self._arrays.clear()
        self._count = max(count, self.column("status").shape[0])
        for name in sorted(self._stored(), key=lambda name: name != "status"):  # the status first
            self._fit(self.column(name))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the ledger was created with."""
        return dict(self._group.attrs["settings"])  # type: ignore[arg-type]

    @property
    def provenance(self) -> dict[str, Any]:
        """The provenance of the stored results."""
        return dict(self._group.attrs.get("provenance") or {})  # type: ignore[arg-type]

    @property
    def status(self) -> UInt8[np.ndarray, " n"]:
        """The status of every row: MISSING, also where its file is damaged, DONE or FAILED."""
        return readable(self.path / "status", self.column("status"))

    @property
    def ids(self) -> list[str]:
        """The picture's id of every row, "" while unknown or where its file is damaged."""
        return [str(name) for name in readable(self.path / "ids", self.column("ids"))]

    @property
    def problems(self) -> dict[int, str]:
        """The reason for every row that failed, by row."""
        reasons = readable(self.path / "problem", self.column("problem"))
        return {int(row): str(reasons[row]) for row in np.flatnonzero(self.status == FAILED)}

    @property
    def names(self) -> list[str]:
        """The names of the columns that were written to the ledger."""
        return sorted(self._stored() - {"status", "ids", "problem"})

    @property
    def declared(self) -> dict[str, list[Any]]:
        """The dtype and shape of a row of the columns that finished rows have, by name.

        It also names columns that were deleted since.
        """
        columns: Any = self._group.attrs.get("columns")
        return {"status": ["uint8", []], **(columns or {})}

    def missing(self, shard: tuple[int, int] = (0, 1)) -> Int[np.ndarray, " rows"]:
        """The shard's rows without a result; rows that failed count as missing."""
        rows = self.rows_of(shard)
        return rows[self.status[rows] != DONE]

    def rows_of(self, shard: tuple[int, int] = (0, 1)) -> Int[np.ndarray, " rows"]:
        """The rows of shard (i, n): every n-th file, so that no two shards write to one file."""
        index, shards = shard
        rows = np.arange(len(self))
        return rows[rows // self.chunk % shards == index]

    def write(
        self,
        rows: Sequence[int] | np.ndarray,
        ids: Sequence[str],
        columns: Mapping[str, np.ndarray],
        problems: Sequence[str | None] | None = None,
    ) -> None:
        """Store finished rows, their status last.

        Args:
            rows: row numbers.
            ids: the picture's id of each row.
            columns: values by column name, "rows ...". Rows that are never written hold NaN, or 0
                for integers.
            problems: for each row the reason why it failed, or None.

        Raises:
            DamagedError: a file that holds other rows, too, cannot be read.
        """
        rows = np.asarray(rows, int)
        if not len(rows):
            return
        reasons = ["" if reason is None else reason for reason in problems or [None] * len(rows)]
        given = {name: np.asarray(values) for name, values in columns.items()}
        for name, values in given.items():
            self._created(name, (len(self), *values.shape[1:]), values.dtype)
        self._declare(given)
        for name, values in given.items():
            self._put(name, rows, values)
        self._put("ids", rows, np.array(ids, dtype=object))
        if any(reasons) or any(self.read("problem", rows)):
            self._put("problem", rows, np.array(reasons, dtype=object))
        status = np.array([FAILED if reason else DONE for reason in reasons], np.uint8)
        self._put("status", rows, status)

    def read(self, name: str, rows: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Return a column, or some rows of it.

        Raises:
            KeyError: there is no column of this name.
            DamagedError: a file of the column cannot be read.
        """
        column = self.column(name)
        with naming(self.path / name, "the command that made it computes its rows again"):
            chosen = slice(None) if rows is None else np.asarray(rows, int)
            return np.asarray(column.oindex[chosen])

    def forget(self, rows: Sequence[int] | np.ndarray) -> None:
        """Make rows MISSING; their values stay until they are written again."""
        rows = np.asarray(rows, int)
        self._put("status", rows, np.full(len(rows), MISSING, np.uint8))

    @property
    def chunk(self) -> int:
        """Rows in one file."""
        return self.column("status").chunks[0]

    def column(self, name: str) -> zarr.Array:
        """Return the array of a column.

        Raises:
            KeyError: there is no column of this name.
            DamagedError: its zarr.json cannot be read, or does not fit the ledger.
        """
        if name not in self._arrays:
            try:
                column = open_column(self.path / name)
            except FileNotFoundError:
                raise KeyError(name) from None
            rows = column.chunks[0] if name == "status" else self.chunk
            expected = [rows, *self.declared.get(name, _described(column))]
            if [column.chunks[0], *_described(column)] != expected:
                raise DamagedError(
                    f"{self.path / name}/zarr.json describes {column.dtype} {column.shape[1:]} in "
                    f"files of {column.chunks[0]} rows, expected {expected[1]} "
                    f"{tuple(expected[2])} in files of {expected[0]} rows; restore it, or delete "
                    f"{self.path}"
                )
            self._arrays[name] = column
        return self._arrays[name]

    def _put(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        column = self.column(name)
        with naming(self.path / name, "start the same command again, which computes it again"):
            column.oindex[rows] = values

    def _created(self, name: str, shape: tuple[int, ...], dtype: Any) -> zarr.Array:
        """Return the array of a column, and create it if it does not exist."""
        if name not in self._arrays and not (self.path / name / "zarr.json").is_file():
            # All columns alike, or shards would share files.
            rows = self._chunk if name == "status" else self.chunk
            create_column(self._group, name, shape, dtype, rows)
        column = self._fit(self.column(name))
        if column.shape[1:] != shape[1:]:
            raise DamagedError(
                f"{self.path / name}/zarr.json describes rows of shape {column.shape[1:]}, "
                f"expected {shape[1:]}; restore it, or delete {self.path}"
            )
        return column

    def _declare(self, names: Mapping[str, Any]) -> None:
        """Store the names of the columns, so that a column that is deleted is known to be."""
        if not names.keys() <= self.declared.keys():
            self._group = open_group(self.path, "r+")  # with what another process has written
            known = {name: _described(self.column(name)) for name in names}
            self._group.update_attributes({"columns": {**known, **self.declared}})

    def _fit(self, array: zarr.Array) -> zarr.Array:
        """Return the array, extended if it was created when the ledger had fewer rows."""
        if array.shape[0] < len(self):
            array.resize((len(self), *array.shape[1:]))
        return array

    def _stored(self) -> set[str]:
        # zarr itself would warn about arrays that a killed process left unfinished.
        return {found.parent.name for found in self.path.glob("*/zarr.json")}


def find_ledger(path: str | Place, settings: Mapping[str, Any] | None = None) -> Ledger | None:
    """Open an existing ledger without changing it; None where there is none.

    Args:
        path: the group's folder.
        settings: the settings that the ledger must have; None accepts any.

    Raises:
        ValueError: the ledger holds results of other settings.
        DamagedError: a file that describes the results cannot be read, or is missing.
    """
    path = place(path)
    with as_os_error(path):
        if not (path / "zarr.json").is_file():
            return None
    found: Any = open_group(path, "r").attrs.get("settings")
    return None if found is None else Ledger(path, 0, found if settings is None else settings)


def rows_per_file(count: int, batch: int, shards: int = 1) -> int:
    """Choose the number of rows in one file.

    Every batch rewrites its file, so a file holds at most 8 batches and about `CHUNK` rows; with
    shards, few enough that each shard has several files.

    Args:
        count: the number of pictures.
        batch: the pictures that are stored together.
        shards: the number of shards.
    """
    most = CHUNK if shards == 1 else min(CHUNK, count // (8 * shards))
    return batch * min(8, max(1, most // batch))


def _described(column: zarr.Array) -> list[Any]:
    """The dtype and the shape of a row, as JSON."""
    return [str(column.dtype), list(column.shape[1:])]


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{name}: {before.get(name)!r}, now {now.get(name)!r}" for name in names)
