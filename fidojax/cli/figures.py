"""What `fidojax explain` draws besides the usual figure, by method."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from fidojax.cli.job import Job
from fidojax.data import Picture
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
    draw = _MORE.get(job.method)
    return draw(job, picture, explanation, target, probabilities) if draw else {}


def _nonlinear(
    job: Job, picture: Picture, explanation: Explanation, target: int, probabilities: np.ndarray
) -> dict[str, Figure]:
    """Figures 1 to 4 of the paper, for the explained class and the best other one."""
    other = next(int(row) for row in np.argsort(-probabilities) if row != target)
    names = [job.pretrained.labels[row] for row in (target, other)]
    both = nonlinear.compared(
        job.pretrained.classifier, picture.image, [target, other],
        options=job.call_options, seed=job.seed, name=picture.id,
    )  # fmt: skip
    shown = both.linear if job.method == "linear" else both.nonlinear
    return {
        "snapshots": nonlinear.snapshots(picture.image, shown, names),
        "trajectory": nonlinear.trajectories(both, names),
        "linear": nonlinear.linear_and_nonlinear(picture.image, both, names),
        "removal": nonlinear.removal(both, names),
    }


def _varsal(
    job: Job, picture: Picture, explanation: Explanation, target: int, probabilities: np.ndarray
) -> dict[str, Figure]:
    """The maps that were drawn from the posterior, if any were asked for."""
    drawn = np.asarray(explanation.info.samples)
    return {"samples": samples(np.asarray(explanation.saliency), drawn)} if len(drawn) else {}


_MORE: dict[str, Callable[..., dict[str, Figure]]] = {
    "nonlinear": _nonlinear,
    "linear": _nonlinear,
    "varsal": _varsal,
}
