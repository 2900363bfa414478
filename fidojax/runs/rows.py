"""Which row of a ledger a picture has, and which shard explains it."""

import numpy as np

from fidojax.runs.ledger import DONE, Ledger, rows_per_file


class RowAssignment:
    """Rows for the pictures of one listing.

    A picture that is in the ledger has its row there, whatever its place in the listing is now. A
    new one has the row of its place, or where another picture is there one behind all places. A
    picture is the work of the shard that its row or, before it has one, its place belongs to, so
    that every picture is somebody's, and no two shards write one file.

    Args:
        ledger: None where there is none yet.
        total: pictures in the listing.
        batch: pictures that are stored at once.
        shard: (index, number of shards).
    """

    def __init__(
        self, ledger: Ledger | None, total: int, batch: int, shard: tuple[int, int]
    ) -> None:
        self._shard = shard
        self._chunk = ledger.chunk if ledger is not None else rows_per_file(total, batch, shard[1])
        self.finished: dict[str, int] = {}
        """Rows of the pictures that have a map, by name."""
        length = total
        if ledger is not None:
            names = ledger.ids
            self.finished = {names[row]: int(row) for row in np.flatnonzero(ledger.status == DONE)}
            length = max(total, len(ledger))
        self._rows = dict(self.finished)
        self._taken = set(self.finished.values())
        self._spare = total
        period = self._chunk * shard[1]
        self.room = period * (-(-length // period) - (-total // period))
        """Rows that are enough whatever is there; all shards of a run find the same number."""

    def owns(self, row: int) -> bool:
        """Whether the row is this shard's."""
        index, shards = self._shard
        return row // self._chunk % shards == index

    def row(self, place: int, name: str) -> int | None:
        """The row of the picture at that place; None where it is another shard's work."""
        row = self._rows.get(name)
        if row is None and self.owns(place):
            row = self._rows[name] = self._free(place)
            self._taken.add(row)
        return row if row is not None and self.owns(row) else None

    def _free(self, place: int) -> int:
        if place not in self._taken:
            return place
        while self._spare in self._taken or not self.owns(self._spare):
            self._spare += 1
        return self._spare
