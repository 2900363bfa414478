"""The ledger of a run: opened, or made, and how many pictures are explained at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fidojax.cli.job import Job
from fidojax.engine import ExplainRequest, concurrent_calls, find_batch_size, in_batches, on_cpu
from fidojax.methods import LOOPS, METHOD_ROWS, METHODS
from fidojax.runs import DONE, Ledger, find_ledger, rows_per_file, versions
from fidojax.types import Classifier


def made_before(path: Path) -> dict[str, Any] | None:
    """The provenance of the maps that are there; None where there are none."""
    ledger = find_ledger(path)
    return ledger.provenance if ledger is not None and (ledger.status == DONE).any() else None


def batch_size_of(
    job: Job, total: int, devices: Sequence[Any], made: dict[str, Any] | None, asked: int | None
) -> int:
    """Pictures per compiled call.

    Other values give other last bits. So what was chosen for the maps that are there stays, unless
    the user asks for something else or there were then fewer pictures than fit.
    """
    if asked:
        return asked
    if made and (made["pictures"] >= total or made["batch_size"] < made["pictures"]):
        return made["batch_size"]
    return fitting(job, total, devices)


def open_ledger(
    path: Path, job: Job, total: int, batch_size: int, devices: Sequence[Any], shards: int
) -> Ledger:
    """The run's ledger, with a row for each picture.

    Raises:
        OSError: it cannot be made.
    """
    device = devices[0]
    provenance = {
        "batch_size": batch_size,
        "pictures": total,
        "devices": {"platform": device.platform, "kind": device.device_kind,
                    "count": len(devices)},
        "versions": versions(),
    }  # fmt: skip
    chunk = rows_per_file(total, batch_size * concurrent_calls(devices), shards)
    return Ledger(path, total, job.settings, provenance=provenance, chunk=chunk)


LARGEST = 64
"""Pictures per call for methods that do not ask the classifier."""


def fitting(job: Job, pictures: int, devices: Sequence[Any]) -> int:
    """Pictures per compiled call.

    Args:
        pictures: of the whole run, finished ones included, so that resuming computes the same.
    """
    most = -(-pictures // concurrent_calls(devices))
    if METHOD_ROWS[job.method].control:
        return min(most, LARGEST)
    if devices[0].platform == "cpu":
        looks = 1 if job.explainer is not None else None
        if job.method in LOOPS:
            looks = job.evaluations // job.steps
        return on_cpu(job.pretrained.size, looks, most)
    request = ExplainRequest(
        METHODS[job.method], job.pretrained.classifier, job.call_options, devices=devices
    )
    found = find_batch_size(request, job.pretrained.size, most)
    return -(-most // -(-most // found))  # as many groups, but evenly filled


def softmax(
    classifier: Classifier, images: Float[np.ndarray, "n h w c"], size: int
) -> Float[np.ndarray, "n k"]:
    """The classifier's probabilities, computed in batches of `size` so as to compile once."""
    return in_batches(lambda rows: _softmax(classifier, images[rows]), len(images), size)


@jax.jit
def _softmax(classifier: Any, images: Any) -> Any:
    return jax.nn.softmax(classifier(jnp.asarray(images)).astype(jnp.float32))
