"""Several classes of one picture: what the region of one says of the others."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.cli.job import Job
from fidojax.cli.numbers import as_number, percent
from fidojax.core import Region
from fidojax.data import Picture
from fidojax.engine import compare_regions
from fidojax.viz import Exhibit

Range = list[float | None]
"""The least and the largest probability over the infillers and the edges."""


class ClassesSaid(NamedTuple):
    """What the classifier says of several classes.

    Attributes:
        record: for each class its name, its `probability` on the picture, and the ranges of it on
            the region `alone` and on the picture `without` it, as JSON.
        alone, without: the captions of the two pictures, a line for each class.
    """

    record: list[dict[str, Any]]
    alone: str
    without: str

    def put_into(self, shown: Exhibit) -> Exhibit:
        """Return the exhibit with these captions of its views."""
        views = tuple(
            replace(view, caption=self.alone if "alone" in view.title else self.without)
            for view in shown.views
        )
        return replace(shown, views=views)


def classes_said(
    job: Job, picture: Picture, probabilities: np.ndarray, saliency: np.ndarray, region: Region
) -> ClassesSaid:
    """Ask the classifier for all classes of a job, on the region of the explained one.

    Args:
        job: a job with several classes.
        picture: the picture.
        probabilities: "k", of the classes on the picture.
        saliency: its map.
        region: its region.
    """
    assert job.region is not None
    maps = np.stack([saliency] * len(job.classes))
    found = _asked(
        job.region.key(picture, job.request.seed), job.request.classifier,
        jnp.asarray(picture.image), jnp.asarray(job.classes), jnp.asarray(maps),
        infill=job.region.fills, found=jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], region),
        objective=job.region.objective,
    )  # fmt: skip
    alone, without = np.asarray(found.probability[0]), np.asarray(found.without[0])
    names = [job.pretrained.labels[row] for row in job.classes]

    def lines(values: np.ndarray) -> str:
        """The first infiller with hard edges: the picture that is shown."""
        pairs = zip(names, values[0, 0], strict=True)
        return "\n".join(f"{name} {percent(value)}" for name, value in pairs)

    record = [
        {
            "name": name,
            "probability": as_number(probabilities[job.classes[at]]),
            "alone": _range(alone[..., at]),
            "without": _range(without[..., at]),
        }
        for at, name in enumerate(names)
    ]
    return ClassesSaid(record, lines(alone), lines(without))


@partial(jax.jit, static_argnames="objective")
def _asked(key, classifier, image, targets, maps, *, infill, found, objective):
    return compare_regions(
        key, classifier, image, targets, maps, infill=infill, found=found, objective=objective
    )


def _range(values: np.ndarray) -> Range:
    return [as_number(values.min()), as_number(values.max())]
