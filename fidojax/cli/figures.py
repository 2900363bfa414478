"""The figures that `fidojax explain` draws besides the usual one, as a method's row asks."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from fidojax.cli.job import Job
from fidojax.data import Picture
from fidojax.engine import compare_maps
from fidojax.types import Explanation
from fidojax.viz import nonlinear, samples


def more_figures(
    job: Job, picture: Picture, explanation: Explanation, target: int, probabilities: np.ndarray
) -> dict[str, Figure]:
    """The method's own figures by name; none for most.

    Args:
        explanation: of the picture.
        target: the explained class.
        probabilities: "k", of the classes on the picture.
    """
    name = job.row.figures
    return {} if name is None else FIGURES[name](job, picture, explanation, target, probabilities)


def _trajectory(
    job: Job, picture: Picture, explanation: Explanation, target: int, probabilities: np.ndarray
) -> dict[str, Figure]:
    """Figures 1 to 4 of the paper, for the explained class and the best other one."""
    other = next(int(row) for row in np.argsort(-probabilities) if row != target)
    names = [job.pretrained.labels[row] for row in (target, other)]
    both = compare_maps(
        job.pretrained.classifier, picture.image, [target, other],
        options=job.request.options, seed=job.request.seed, name=picture.id,
    )  # fmt: skip
    shown = both.linear if job.method == "linear_saliency" else both.nonlinear
    return {
        "snapshots": nonlinear.snapshots(picture.image, shown, names),
        "trajectory": nonlinear.trajectories(both, names),
        "linear": nonlinear.linear_and_nonlinear(picture.image, both, names),
        "removal": nonlinear.removal(both, names),
    }


def _samples(
    job: Job, picture: Picture, explanation: Explanation, target: int, probabilities: np.ndarray
) -> dict[str, Figure]:
    """The maps that were drawn from the posterior, if any were asked for."""
    drawn = np.asarray(explanation.info.samples)
    return {"samples": samples(np.asarray(explanation.saliency), drawn)} if len(drawn) else {}


FIGURES: dict[str, Callable[..., dict[str, Figure]]] = {
    "trajectory": _trajectory,
    "samples": _samples,
}
"""What draws them, by the name in the method's row."""
