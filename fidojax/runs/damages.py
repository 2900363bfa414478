"""Finished means readable: find the damaged files of a ledger, and give their rows up."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from fidojax.data import Place, as_os_error, place, remove
from fidojax.runs.columns import DamagedError, chunk_damage, chunk_file
from fidojax.runs.ledger import DONE, Ledger, find_ledger


class Damage(NamedTuple):
    """A damaged file of a ledger.

    Attributes:
        file: the file.
        reason: what is wrong with it.
        rows: the rows whose values it holds.
    """

    file: Place
    reason: str
    rows: Int[np.ndarray, " rows"]

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def find_damages(ledger: Ledger, shard: tuple[int, int] = (0, 1)) -> list[Damage]:
    """Find the files that cannot be read, and those that are missing although rows are DONE.

    All files are read once; nothing is changed.

    Args:
        ledger: the ledger.
        shard: (index, number of shards) whose files are read, see `Ledger.rows_of`.
    """
    status, size = ledger.status, ledger.chunk
    chunks = [
        np.arange(number * size, min((number + 1) * size, len(ledger)))
        for number in range(shard[0], -(-len(ledger) // size), shard[1])
    ]
    found = []
    for name in dict.fromkeys(["status", "ids", "problem", *ledger.declared, *ledger.names]):
        folder = ledger.path / name
        there = (folder / "zarr.json").is_file()
        column = ledger.column(name) if there else None
        for rows in chunks:
            needed = name != "problem" and bool((status[rows] == DONE).any())
            if column is None:
                file, reason = folder, "it is missing" if needed else None
            else:
                number = int(rows[0]) // size
                file = chunk_file(folder, column, number)
                reason = chunk_damage(folder, column, number, needed=needed)
            if reason is not None:
                found.append(Damage(file, reason, rows))
    files = {damage.file for damage in found}
    return found + [each for each in _nameless(ledger, chunks, status) if each.file not in files]


def repair(ledger: Ledger, shard: tuple[int, int] = (0, 1)) -> list[Damage]:
    """Remove the damaged files; all rows that lie in them become MISSING.

    Args:
        ledger: the ledger.
        shard: (index, number of shards) whose files are repaired. No other process writes them.

    Returns:
        The damages that were found.
    """
    found = find_damages(ledger, shard)
    for damage in found:  # before the status is written, whose other rows would be read from it
        if damage.file.is_relative_to(ledger.path / "status"):
            remove(damage.file)
    for damage in found:  # before the values go, so that a kill leaves no row DONE without them
        ledger.forget(damage.rows)
    for damage in found:
        remove(damage.file)
    return found


def verify(folder: str | Place) -> list[str]:
    """Read all stored results below a folder, of `fidojax explain` or of a study.

    Args:
        folder: a folder of results. Nothing in it is changed.

    Returns:
        A sentence for each damaged file; the command that made the results repairs them. None
        means that every row that is DONE can be read.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    root = place(folder)
    with as_os_error(root):
        if not root.is_dir():
            raise FileNotFoundError(f"{folder}: there is no such folder")
    said = []
    for path in sorted(root.rglob("status/zarr.json")):
        try:
            ledger = find_ledger(path.parents[1])
            if ledger is None:
                said.append(f"{path.parents[1]}/zarr.json: it is missing")
            else:
                said += map(str, find_damages(ledger))
        except DamagedError as error:
            said.append(str(error))
    return said


def _nameless(ledger: Ledger, chunks: list[np.ndarray], status: np.ndarray) -> list[Damage]:
    """The files of names where a finished row has none, as in ledgers without checksums."""
    folder, names = ledger.path / "ids", np.array(ledger.ids, dtype=object)
    column = ledger.column("ids")
    return [
        Damage(chunk_file(folder, column, int(rows[0]) // ledger.chunk), "a name is missing", rows)
        for rows in chunks
        if ((status[rows] == DONE) & (names[rows] == "")).any()
    ]
