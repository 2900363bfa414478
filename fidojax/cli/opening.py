"""The ledger of a run: opened, or made, and how many pictures are explained at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fidojax.cli.batch import fitting
from fidojax.cli.job import Job
from fidojax.cli.outcome import versions
from fidojax.lanes import calls_of
from fidojax.ledger import DONE, Ledger, look, rows_per_file


def made_before(path: Path) -> dict[str, Any] | None:
    """The provenance of the maps that are there; None where there are none."""
    ledger = look(path)
    return ledger.provenance if ledger is not None and (ledger.status == DONE).any() else None


def micro_batch_of(
    job: Job, total: int, devices: Sequence[Any], made: dict[str, Any] | None, asked: int | None
) -> int:
    """Pictures per compiled call.

    Other values give other last bits. So what was chosen for the maps that are there stays, unless
    the user asks for something else or there were then fewer pictures than fit.
    """
    if asked:
        return asked
    if made and (made["pictures"] >= total or made["micro_batch"] < made["pictures"]):
        return made["micro_batch"]
    return fitting(job, total, devices)


def open_ledger(
    path: Path, job: Job, total: int, micro_batch: int, devices: Sequence[Any], shards: int
) -> Ledger:
    """The run's ledger, with a row for each picture.

    Raises:
        OSError: it cannot be made.
    """
    device = devices[0]
    provenance = {
        "micro_batch": micro_batch,
        "pictures": total,
        "devices": {"platform": device.platform, "kind": device.device_kind,
                    "count": len(devices)},
        "versions": versions(),
    }  # fmt: skip
    chunk = rows_per_file(total, micro_batch * calls_of(devices), shards)
    return Ledger(path, total, job.settings, provenance=provenance, chunk=chunk)
