"""Several classes of one picture: which region speaks for which, and what it says of the others."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from fidojax.cli.job import Job
from fidojax.cli.numbers import as_number, percent
from fidojax.data import Picture
from fidojax.engine import ClassRegions, ExplainRequest, compare_regions, explain_batch
from fidojax.types import Explanation
from fidojax.viz import Exhibit, View, gallery


def compare(
    job: Job, request: ExplainRequest, picture: Picture, probabilities: np.ndarray
) -> tuple[list[dict[str, Any]], Figure]:
    """Explain a picture for all classes of a job; return the numbers as JSON, and the figure.

    The figure has a row for each class: its map, its region alone and the picture without it, with
    the probability of every class on both.

    Args:
        job: a job with several classes.
        request: its request with the batch size.
        picture: the picture.
        probabilities: "k", of the classes on the picture.
    """
    count = len(job.classes)
    maps = explain_batch(
        request.method, request.classifier, np.stack([picture.image] * count), job.classes,
        options=request.options, seed=request.seed, ids=[picture.id] * count,
        batch_size=min(count, request.batch_size or count), devices=request.devices,
        rewrite=request.rewrite, precision=request.precision, stop=request.stop,
    )  # fmt: skip
    assert job.region is not None
    found = _compared(
        job.region.key(picture, request.seed), request.classifier, jnp.asarray(picture.image),
        jnp.asarray(job.classes), jnp.asarray(maps.saliency), infill=job.region.fills,
        found=maps.info.region if job.region.by_method else None,
        hold=job.region.hold, objective=job.region.objective,
    )  # fmt: skip
    found = jax.tree.map(np.asarray, found)
    names = [job.pretrained.labels[row] for row in job.classes]
    return _record(names, probabilities[list(job.classes)], found), gallery(
        [_exhibit(job, picture, maps, found, names, probabilities, at) for at in range(count)],
        width=13.6,
    )


@partial(jax.jit, static_argnames=("hold", "objective"))
def _compared(key, classifier, image, targets, maps, *, infill, found, hold, objective):
    return compare_regions(
        key, classifier, image, targets, maps,
        infill=infill, found=found, hold=hold, objective=objective,
    )  # fmt: skip


def _record(
    names: Sequence[str], original: np.ndarray, found: ClassRegions
) -> list[dict[str, Any]]:
    """For each class its region, and the least and the largest p of every class on both pictures.

    The ranges are over the infillers and the edges.
    """

    def ranges(values: Any) -> dict[str, list[float | None]]:
        flat = values.reshape(-1, len(names))
        ends = zip(flat.min(axis=0), flat.max(axis=0), strict=True)
        return {
            name: [as_number(low), as_number(high)]
            for name, (low, high) in zip(names, ends, strict=True)
        }

    return [
        {
            "name": name,
            "probability": as_number(original[at]),
            "area": as_number(found.region.area[at]),
            "alone": ranges(found.probability[at]),
            "without": ranges(found.without[at]),
        }
        for at, name in enumerate(names)
    ]


def _exhibit(
    job: Job,
    picture: Picture,
    maps: Explanation,
    found: ClassRegions,
    names: Sequence[str],
    probabilities: np.ndarray,
    at: int,
) -> Exhibit:
    """The row of one class."""
    assert job.region is not None
    saliency = np.asarray(maps.saliency[at], np.float32)
    views, warning = (), f"{names[at]} has no region that holds"
    if np.isfinite(found.region.area[at]):
        mask, warning = np.asarray(found.region.mask[at], np.float32), ""
        alone, without = job.region.pictures(picture, job.request.seed, mask)
        area = percent(found.region.area[at])
        views = (
            View(alone, f"its region alone: {area}", _said(names, found.probability[at]), mask),
            View(without, "the picture without it", _said(names, found.without[at])),
        )
    shares = [
        f"{name} {percent(probabilities[row])}"
        for name, row in zip(names, job.classes, strict=True)
    ]
    return Exhibit(
        image=picture.image,
        saliency=saliency,
        title=picture.id,
        prediction="\n".join(shares),
        meaning=job.row.meaning(job.options),
        target=f"why {names[at]}?",
        limits=job.row.limits,
        symmetric=job.row.is_signed(saliency),
        views=views,
        warning=warning,
    )


def _said(names: Sequence[str], values: Any) -> str:
    """The probability of each class on the picture shown: the first infiller, hard edges."""
    return "\n".join(
        f"{name} {percent(value)}" for name, value in zip(names, values[0, 0], strict=True)
    )
