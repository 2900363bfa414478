"""Which row of a ledger belongs to a picture, and which shard explains it."""

from collections.abc import Iterable

import numpy as np

from fidojax.runs.ledger import DONE, Ledger, rows_per_file


class RowAssignment:
    """Assigns rows of a ledger to the pictures of a listing.

    A picture that the ledger already holds keeps its row, even if its position in the listing has
    changed. A new picture gets the row of its position, or a row behind all positions if another
    picture has that row. The shard that owns the row (for a new picture, the row of its position)
    explains the picture. Every picture therefore belongs to one shard, and no two shards write to
    one file.

    Args:
        ledger: the ledger; None where there is none yet.
        total: the number of pictures in the listing.
        batch: the pictures that are stored together.
        shard: (index, number of shards).
        lost: rows that count as missing though they are DONE, since they cannot be read.
        most: the number of positions, where `total` leaves out those that cannot be read.
    """

    def __init__(
        self,
        ledger: Ledger | None,
        total: int,
        batch: int,
        shard: tuple[int, int],
        *,
        lost: Iterable[int] = (),
        most: int | None = None,
    ) -> None:
        self._shard = shard
        self._chunk = ledger.chunk if ledger is not None else rows_per_file(total, batch, shard[1])
        self.finished: dict[str, int] = {}
        """The rows of the pictures that have a map, by name."""
        length = total
        if ledger is not None:
            names = ledger.ids
            done = np.setdiff1d(np.flatnonzero(ledger.status == DONE), list(lost))
            self.finished = {names[row]: int(row) for row in done}
            length = max(total, len(ledger))
        self._rows = dict(self.finished)
        self._taken = set(self.finished.values())
        self._spare = total
        period = self._chunk * shard[1]
        spare = period * -(-total // period)
        self._rooms = tuple(
            period * -(-count // period) + spare for count in (length, max(length, most or total))
        )

    def room(self, row: int) -> int:
        """Return a sufficient number of rows, the same for all shards of a run."""
        few, many = self._rooms
        return few if row < few else many

    def owns(self, row: int) -> bool:
        """Whether the row belongs to this shard."""
        index, shards = self._shard
        return row // self._chunk % shards == index

    def row(self, position: int, name: str) -> int | None:
        """Return the picture's row; None if the picture belongs to another shard.

        Args:
            position: the picture's position in the listing.
            name: its id in the ledger.
        """
        row = self._rows.get(name)
        if row is None and self.owns(position):
            row = self._rows[name] = self._free(position)
            self._taken.add(row)
        return row if row is not None and self.owns(row) else None

    def _free(self, position: int) -> int:
        if position not in self._taken:
            return position
        while self._spare in self._taken or not self.owns(self._spare):
            self._spare += 1
        return self._spare
