"""Read a folder of results of `fidojax explain`: maps and numbers, by picture and method."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fidojax.core import printable, suggest
from fidojax.data import Place, place
from fidojax.runs.columns import DamagedError
from fidojax.runs.ledger import DONE, Ledger, find_ledger
from fidojax.runs.maps import read_maps, unpack
from fidojax.runs.stored import read_records
from fidojax.types import Explanation

COLUMNS = ("picture", "method", "settings", "infill", "class", "p", "region", "seconds")
"""The columns of `LoadedRun.table`."""
SHOWN = 20
"""The largest number of lines that the text of a run shows."""


class StoredInfo(NamedTuple):
    """What a folder of results holds of one explanation besides its map.

    Attributes:
        record: the picture's record, see docs/formats.md.
        region: "h w", or "regions h w" of several: the pixels of the region; None without one.
        deviation: "h w", the standard deviation of the map; None for methods without one.
    """

    record: Mapping[str, Any]
    region: Bool[np.ndarray, "*regions h w"] | None
    deviation: Float[np.ndarray, "h w"] | None


class LoadedRun:
    """The explained pictures of a folder of results. Made by `load_run`.

    `run[picture, method]` is an explanation, `len(run)` the number of explanations, `run.table()`
    their numbers, and `print(run)` shows the table.

    Attributes:
        folder: the folder.
        records: the records of the explained pictures that have a map, by picture and method.
    """

    def __init__(self, folder: Place, records: list[dict[str, Any]]) -> None:
        self.folder = folder
        self.records = sorted(records, key=lambda record: (record["id"], _method(record)))
        self._ledgers: dict[str, Ledger] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Yield the key of each explanation: picture, method, settings."""
        return (_key(record) for record in self.records)

    def __getitem__(self, key: str | tuple[str, ...]) -> Explanation:
        """Return the explanation of a picture: its map, float32 "h w", and a `StoredInfo`.

        Args:
            key: a picture; picture and method; or picture, method and settings. A picture is named
                as in the table, with or without its suffix; the settings by their digest. What is
                left out has to be the same for all results that match.

        Raises:
            KeyError: there is no such explanation.
            ValueError: several match.
            DamagedError: the file of the map cannot be read.
        """
        words = (key,) if isinstance(key, str) else tuple(key)
        record = self._found(words)
        ledger, row = self._ledger(record["map"]["ledger"]), record["map"]["row"]
        if row >= len(ledger) or ledger.status[row] != DONE:
            raise DamagedError(
                f"{ledger.path} holds no map of {record['id']} any more; the command that made it "
                f"computes it again"
            )
        region = deviation = None
        if "region" in ledger.names and np.isfinite(ledger.read("region_area", [row])).any():
            region = ledger.read("region", [row])[0]
        if "deviation" in ledger.names:
            columns = (ledger.read(name, [row]) for name in ("deviation", "deviation_scale"))
            deviation = unpack(*columns)[0]
        return Explanation(read_maps(ledger, [row])[0], StoredInfo(record, region, deviation))

    def table(self) -> list[dict[str, Any]]:
        """Return a line for each explanation, as `pandas.DataFrame` takes it.

        The columns are `COLUMNS`: the picture's name, the method, the digest of the settings, the
        infillers, the explained class, its probability, the share of the pixels in the region
        (None without one), and the picture's own seconds.
        """
        return [_line(record) for record in self.records]

    def __repr__(self) -> str:
        """Return the table as text."""
        lines = [COLUMNS, *(_texts(_line(record)) for record in self.records[:SHOWN])]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        if len(self) > SHOWN:
            text.append(f"... and {len(self) - SHOWN} more")
        many = "" if len(self) == 1 else "s"
        return "\n".join([f"{printable(self.folder)}: {len(self)} explanation{many}", *text])

    def _found(self, words: tuple[str, ...]) -> dict[str, Any]:
        if not 1 <= len(words) <= 3:
            raise ValueError(f"run{list(words)}: expected a picture, a method and settings at most")
        left = self.records
        for at, (what, word) in enumerate(
            zip(("picture", "method", "settings"), words, strict=False)
        ):
            matching = [record for record in left if word in _names(record)[at]]
            if not matching:
                known = sorted({_key(record)[at] for record in left})
                of = "" if at == 0 else f" of {' and '.join(words[:at])}"
                raise KeyError(
                    f"{printable(self.folder)} has no {what} {word!r}{of}; "
                    f"{suggest(word, known) if known else 'it holds no explanations'}"
                )
            left = matching
        if len(left) > 1:
            keys = [list(_key(record)) for record in left]
            if len({*map(tuple, keys)}) < len(keys):  # pictures of one name
                keys = [[record["name"]] for record in left]
            keys = ", ".join(f"run{key}" for key in keys[:3])
            more = ", ..." if len(left) > 3 else ""
            raise ValueError(
                f"run{list(words)}: {len(left)} explanations match; choose one: {keys}{more}"
            )
        return left[0]

    def _ledger(self, name: str) -> Ledger:
        if name not in self._ledgers:
            found = find_ledger(self.folder / name)
            if found is None:
                raise DamagedError(f"{self.folder / name} is missing: it held the maps")
            self._ledgers[name] = found
        return self._ledgers[name]


def load_run(folder: str | Place) -> LoadedRun:
    """Read the results of `fidojax explain`.

    Args:
        folder: the folder that `--out` named.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no results of `fidojax explain`.

    Example:
        >>> run = fidojax.load_run("explanations")  # doctest: +SKIP
        >>> run["chelsea", "fido"].saliency.shape  # doctest: +SKIP
        (64, 64)
    """
    folder = place(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"run {printable(folder)}: there is no such folder")
    records = list(read_records(folder, set()))
    if not records:
        raise ValueError(
            f"run {printable(folder)}: expected a folder of results of fidojax explain, with "
            f"records/*.json"
        )
    return LoadedRun(folder, [one for one in records if one.get("map") is not None])


def _method(record: Mapping[str, Any]) -> str:
    return record["settings"]["method"]


def _key(record: Mapping[str, Any]) -> tuple[str, str, str]:
    return record["id"], _method(record), record["settings_digest"]


def _names(record: Mapping[str, Any]) -> tuple[set[str], set[str], set[str]]:
    """The names by which a record's picture, method and settings are found."""
    picture = PurePosixPath(record["id"])
    return (
        {record["id"], picture.with_suffix("").as_posix(), record["source"], record["name"]},
        {_method(record)},
        {record["settings_digest"]},
    )


def _line(record: Mapping[str, Any]) -> dict[str, Any]:
    infill = record["settings"]["infill"]
    held = (record.get("region") or {}).get("area")
    return dict(
        zip(
            COLUMNS,
            (
                *_key(record),
                infill if isinstance(infill, str) or infill is None else " ".join(infill),
                record["target"]["name"],
                record["probability"]["image"],
                held,
                record["seconds"],
            ),
            strict=True,
        )
    )


def _texts(line: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of a line as text."""
    return tuple(
        "-" if value is None else f"{value:.3g}" if isinstance(value, float) else printable(value)
        for value in line.values()
    )
