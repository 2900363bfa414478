"""Ledgers of a study: opened for writing, with damaged files said and given up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich

from fidojax.core import printable
from fidojax.runs import CHUNK, Ledger, environment, repair


def open_ledger(
    path: Path,
    count: int,
    settings: Mapping[str, Any],
    shard: tuple[int, int],
    *,
    chunk: int = CHUNK,
    provenance: Mapping[str, Any] | None = None,
) -> Ledger:
    """Open or create a ledger; what can no longer be read is missing.

    Args:
        path, count, settings, chunk, provenance: see `fidojax.runs.Ledger`; the provenance is the
            environment when None.
        shard: (index, number of shards) whose files are verified.
    """
    provenance = environment() if provenance is None else provenance
    ledger = Ledger(path, count, settings, provenance=provenance, chunk=chunk)
    damages = repair(ledger, shard)
    if damages:
        rich.get_console().print(
            f"{len(damages)} stored file{'' if len(damages) == 1 else 's'} cannot be read "
            f"({printable(damages[0])}); the rows are computed again",
            markup=False,
            soft_wrap=True,
        )
    return ledger
