"""Results on disk as zarr: one row per picture; a kill loses only what is under way.

A `Ledger` is a zarr group. Besides the columns that it is given, "n ...", it has

    status   "n" uint8, MISSING, DONE or FAILED
    ids      "n", the picture's id, "" until it is known
    problem  "n", why there is no result

and its attributes hold `settings`, all that decides the results, and `provenance`. Every chunk is
written beside its place and renamed, and a row's status is written last: where it is DONE, all of
the row is there. Any zarr reader opens it.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Float, Int
from zarr.errors import ContainsArrayError

MISSING, DONE, FAILED = 0, 1, 2
CHUNK = 64
"""Rows in one file."""


class Ledger:
    """The results of one explainer, or one set of scores, on so many pictures."""

    def __init__(
        self,
        path: str | Path,
        count: int,
        settings: Mapping[str, Any],
        *,
        provenance: Mapping[str, Any] | None = None,
        chunk: int = CHUNK,
    ) -> None:
        """Opens or makes it.

        Args:
            path: the group's folder, such as `run/results.zarr/rows/fido`.
            count: of pictures. A ledger grows, and never shrinks.
            settings: all that decides the results, as JSON.
            provenance: what else is known of them, as JSON; that of the first opening stays.
            chunk: rows in one file. Processes that write at the same time must not share one, see
                `rows_of`.

        Raises:
            ValueError: the folder holds results of other settings.
        """
        self.path = Path(path)
        settings = json.loads(json.dumps(settings))
        self._group = zarr.open_group(self.path, mode="a")
        before: Any = self._group.attrs.get("settings")
        if before is None:
            # In one writing, so that no process sees half of it.
            self._group.update_attributes(
                {"settings": settings, "provenance": dict(provenance or {})}
            )
        elif before != settings:
            raise ValueError(
                f"{self.path} holds results of other settings ({_differing(before, settings)})"
            )
        self._chunk = chunk
        for name, dtype in (("status", "uint8"), ("ids", str), ("problem", str)):
            self._column(name, (count,), dtype)
        self._count = max(count, self._group["status"].shape[0])  # type: ignore[union-attr]
        for _, array in self._group.arrays():
            if array.shape[0] < self._count:
                array.resize((self._count, *array.shape[1:]))

    def __len__(self) -> int:
        return self._count

    @property
    def settings(self) -> dict[str, Any]:
        """As given."""
        return dict(self._group.attrs["settings"])  # type: ignore[arg-type]

    @property
    def provenance(self) -> dict[str, Any]:
        """As given by who made it."""
        return dict(self._group.attrs["provenance"])  # type: ignore[arg-type]

    @property
    def status(self) -> Int[np.ndarray, " n"]:
        """Of every row."""
        return self._read("status")

    @property
    def ids(self) -> list[str]:
        """Of every row."""
        return [str(name) for name in self._read("ids")]

    @property
    def problems(self) -> dict[int, str]:
        """Of the rows that failed."""
        reasons = self._read("problem")
        return {int(row): str(reasons[row]) for row in np.flatnonzero(self.status == FAILED)}

    @property
    def names(self) -> list[str]:
        """Of the columns that it was given."""
        return sorted({*self._group.array_keys()} - {"status", "ids", "problem"})

    def missing(self, shard: tuple[int, int] = (0, 1)) -> Int[np.ndarray, " rows"]:
        """The shard's rows without a result; those that failed are to be tried again."""
        rows = self.rows_of(shard)
        return rows[self.status[rows] != DONE]

    def rows_of(self, shard: tuple[int, int] = (0, 1)) -> Int[np.ndarray, " rows"]:
        """The rows of a shard (i, n): every n-th file, so that no two shards write one file."""
        index, shards = shard
        rows = np.arange(len(self))
        return rows[rows // self._rows_per_file % shards == index]

    def write(
        self,
        rows: Sequence[int] | np.ndarray,
        ids: Sequence[str],
        columns: Mapping[str, np.ndarray],
        problems: Sequence[str | None] | None = None,
    ) -> None:
        """Stores finished rows, the columns first.

        Args:
            columns: by name, "rows ..."; missing values are NaN, or 0 for integers.
            problems: a reason for each row that failed, None for the others.
        """
        rows = np.asarray(rows, int)
        if not len(rows):
            return
        reasons = ["" if reason is None else reason for reason in problems or [None] * len(rows)]
        for name, values in columns.items():
            values = np.asarray(values)
            column = self._column(name, (len(self), *values.shape[1:]), values.dtype)
            column.oindex[rows] = values
        self._group["ids"].oindex[rows] = np.array(ids, dtype=object)  # type: ignore[union-attr]
        if any(reasons) or any(self._read("problem")[rows]):
            self._group["problem"].oindex[rows] = np.array(reasons, dtype=object)  # type: ignore[union-attr]
        status = np.array([FAILED if reason else DONE for reason in reasons], np.uint8)
        self._group["status"].oindex[rows] = status  # type: ignore[union-attr]

    def read(self, name: str, rows: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """A column, or some rows of it; KeyError where there is none of this name."""
        if rows is None:
            return self._read(name)
        return np.asarray(self._group[name].oindex[np.asarray(rows, int)])  # type: ignore[union-attr]

    def _read(self, name: str) -> np.ndarray:
        return np.asarray(self._group[name][...])  # type: ignore[index]

    @property
    def _rows_per_file(self) -> int:
        return self._group["status"].chunks[0]  # type: ignore[union-attr]

    def _column(self, name: str, shape: tuple[int, ...], dtype: Any) -> zarr.Array:
        """The array, made where it is not there yet."""
        if name not in self._group:
            fill: Any = np.nan if dtype is not str and np.dtype(dtype).kind == "f" else None
            chunks = (self._chunk, *shape[1:])
            with suppress(ContainsArrayError):  # another process was faster
                self._group.create_array(
                    name, shape=shape, dtype=dtype, chunks=chunks, fill_value=fill
                )
        return self._group[name]  # type: ignore[return-value]


def pack(maps: Float[np.ndarray, "n h w"]) -> dict[str, np.ndarray]:
    """Columns `maps` (float16) and `scale` (float32) of which `unpack` makes the maps again.

    The scale is the power of two that brings a map into [-1, 1]: float16 keeps 11 bits of a value,
    of any map, and a mask of probabilities is stored as it is.
    """
    maps = np.asarray(maps, np.float32)
    largest = np.abs(maps).max(axis=(1, 2))
    exponent = np.frexp(np.where(np.isfinite(largest), largest, 1))[1]
    # A largest value of exactly a power of two fits without the next one.
    exact = largest == np.ldexp(np.float32(1), exponent - 1)
    scale = np.where(largest == 0, 1, np.ldexp(np.float32(1), exponent - exact)).astype(np.float32)
    return {"maps": (maps / scale[:, None, None]).astype(np.float16), "scale": scale}


def unpack(
    maps: Float[np.ndarray, "n h w"], scale: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n h w"]:
    """The float32 maps of the columns that `pack` made."""
    return maps.astype(np.float32) * scale[:, None, None]


def read_maps(
    ledger: Ledger, rows: Sequence[int] | np.ndarray | None = None
) -> Float[np.ndarray, "n h w"]:
    """The maps of a ledger, NaN where there is none."""
    return unpack(ledger.read("maps", rows), ledger.read("scale", rows))


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{name}: {before.get(name)!r}, now {now.get(name)!r}" for name in names)
