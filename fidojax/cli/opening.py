"""Open the ledger of a run, and choose how many pictures a compiled call explains."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fidojax.cli.job import Job
from fidojax.core import logits_of
from fidojax.data import Place
from fidojax.engine import (
    ExplainRequest,
    concurrent_calls,
    dividing_threads,
    find_batch_size,
    in_batches,
    on_cpu,
)
from fidojax.runs import DONE, DamagedError, Ledger, find_ledger, rows_per_file, versions
from fidojax.types import Classifier, Device

LARGEST = 64
"""Pictures per call for methods that do not use the classifier."""


def made_before(path: Place) -> dict[str, Any] | None:
    """The provenance of the stored maps; None if there are none.

    Raises:
        DamagedError: a file of the ledger cannot be read, or lacks the provenance.
    """
    ledger = find_ledger(path)
    if ledger is None or not (ledger.status == DONE).any():
        return None
    made = ledger.provenance
    for name in ("batch_size", "pictures"):
        if not isinstance(made.get(name), int) or made[name] < 1:
            raise DamagedError(
                f"{path}/zarr.json has no {name} of the stored maps; restore it, or delete {path}"
            )
    return made


def batch_size_of(job: Job, total: int, made: dict[str, Any] | None) -> int:
    """Return the number of pictures per compiled call.

    Another number gives other last bits. The one of the stored maps is therefore kept, unless the
    user gives a number, or the earlier run had fewer pictures than fit into a call.

    Args:
        job: the job.
        total: the number of pictures of the run.
        made: the provenance of the stored maps, or None.
    """
    if job.request.batch_size:
        return job.request.batch_size
    if made and (made["pictures"] >= total or made["batch_size"] < made["pictures"]):
        return made["batch_size"]
    return _fitting(job, total)


def open_ledger(path: Place, job: Job, request: ExplainRequest, total: int, shards: int) -> Ledger:
    """Open the run's ledger, with a row for each picture; `request` has its batch size.

    Raises:
        OSError: it cannot be created.
    """
    provenance = {
        "batch_size": request.batch_size,
        "pictures": total,
        "devices": described(request.chosen_devices),
        "threads": dividing_threads(request.chosen_devices[0].platform),
        "versions": versions(),
    }
    chunk = rows_per_file(total, request.pictures_at_once, shards)
    return Ledger(path, total, job.settings, provenance=provenance, chunk=chunk)


def described(devices: Any) -> dict[str, Any]:
    """The devices of a run, for its records."""
    device: Device = devices[0]
    return {"platform": device.platform, "kind": device.device_kind, "count": len(devices)}


def _fitting(job: Job, pictures: int) -> int:
    """The number of pictures per call that fit.

    Args:
        job: the job.
        pictures: of the whole run, finished ones included, so that a resumed run computes the same.
    """
    request, size = job.request, job.pretrained.size
    most = -(-pictures // concurrent_calls(request.chosen_devices))
    if job.row.control:
        return min(most, LARGEST)
    if request.chosen_devices[0].platform == "cpu":
        if job.explainer is not None:  # one pass of its network
            return on_cpu(size, 1, most)
        return find_batch_size(request, size, most)
    found = find_batch_size(request.ready(), size, most)
    return -(-most // -(-most // found))  # as many calls, evenly filled


def softmax(
    classifier: Classifier, images: Float[np.ndarray, "n h w c"], size: int
) -> Float[np.ndarray, "n k"]:
    """The classifier's probabilities, computed in batches of `size` to compile one program."""
    return in_batches(lambda rows: _softmax(classifier, images[rows]), len(images), size)


@jax.jit
def _softmax(classifier: Any, images: Any) -> Any:
    return jax.nn.softmax(logits_of(classifier, jnp.asarray(images)).astype(jnp.float32))
