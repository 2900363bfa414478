"""Numbers by which maps of different methods, infills and classes are compared.

All maps are measured alike, by the order of their pixels and with the same infillers, whatever the
setting that made them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from fidojax.cli.job import Job, default_fills
from fidojax.cli.numbers import as_number
from fidojax.cli.records import ResultsFolder
from fidojax.cli.region import HOLD
from fidojax.core import region
from fidojax.data import Picture
from fidojax.engine import measure_batch
from fidojax.runs import read_maps
from infillers import make_infill

STEPS = 24
"""Steps of deletion, from one pixel to all by equal factors."""


def common_numbers(
    job: Job, shown: Sequence[Picture], targets: Sequence[int], maps: Float[np.ndarray, "n h w"]
) -> list[dict[str, float | None]]:
    """Return the numbers of some maps, as JSON.

    `smallest_share` is the smallest share of the pixels, in the map's order, on which the class
    keeps `HOLD` of its probability under each of the default infillers, None where it never does;
    `deletion` is the mean probability of the class while the most salient pixels go first, filled
    in by the first of them. Lower is better for both.

    Args:
        job: the job.
        shown: the pictures.
        targets: the explained classes.
        maps: their maps.
    """
    fills = tuple(make_infill(text) for text in default_fills(job.asked))
    given = (
        job.request.classifier, np.stack([picture.image for picture in shown]), list(targets), maps,
    )  # fmt: skip
    same: dict[str, Any] = {
        "seed": job.request.seed, "ids": [picture.id for picture in shown],
        "rewrite": job.request.rewrite,
    }  # fmt: skip
    held = measure_batch(region, *given, options={"infill": fills, "hold": HOLD}, **same)
    options = {"infill": fills[0], "steps": STEPS, "grid": "geometric", "score": "probability"}
    gone = measure_batch("deletion", *given, options=options, **same)
    return [
        {"smallest_share": as_number(area), "deletion": as_number(auc)}
        for area, auc in zip(held.area, gone.auc, strict=True)
    ]


def measure_missing(
    results: ResultsFolder, job: Job, picture: Picture, record: dict[str, Any]
) -> dict[str, Any]:
    """Measure the stored map of a picture that was explained before; return its new record.

    Raises:
        DamagedError: the map cannot be read.
        OSError: the record cannot be written.
    """
    ledger = None if record.get("numbers") else results.ledger(record)
    if ledger is None:
        return record
    maps = read_maps(ledger, [record["map"]["row"]])
    (numbers,) = common_numbers(job, [picture], [record["target"]["index"]], maps)
    record = {**record, "numbers": numbers}
    results.store_record(record["name"], record, record["files"])
    return record
