"""Compare cost and quality of FIDO's maps for families of schedules on the same pictures.

    python -m benchmarks.fido_cost.pareto --out DIR --data-dir D --count 16
    python -m benchmarks.fido_cost.pareto --out DIR --network keras:MobileNetV2 --weights W \\
        --pictures PHOTOS --count 4 --batch-size 1 --samples 32 --warm gradient

"paper" and "fast" are those presets with other numbers of steps, "warm" starts from the map of a
cheaper method, and "stopped" has a large budget that ends for each picture when its map has
converged (`fidojax.Stop`), with several thresholds; their evaluations are means over pictures.

All finished groups of maps are stored in DIR, from where a stopped run continues.
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import tyro
from jaxtyping import Array, Float

from benchmarks.fido_cost import maps, pareto_report
from benchmarks.fido_cost.columns import Values
from benchmarks.fido_cost.maps import Subjects, choose, explain, measure, plain, resolved, write
from benchmarks.fido_cost.starts import schedule, starting
from fidojax import presets
from fidojax.engine import Stop
from fidojax.methods import fido_loop
from fidojax.metrics import deletion
from fidojax.networks import load_encoder
from fidojax.types import Classifier, Image, Infiller, Saliency, Target
from infillers import INFILLERS

Family = Literal["paper", "fast", "warm", "paper, stopped", "fast, stopped"]
FAMILIES: tuple[Family, ...] = ("paper", "fast", "warm", "paper, stopped", "fast, stopped")


@dataclasses.dataclass(frozen=True)
class Config(maps.Config):
    """Explain the same pictures under every schedule with two seeds, and plot the measures."""

    families: tuple[Family, ...] = FAMILIES
    paper: tuple[int, ...] = (120, 240, 480, 960, 2400)
    """Evaluations of the classifier for a map by the paper's schedule with fewer steps."""
    fast: tuple[int, ...] = (60, 120, 240, 480)
    """The same for `fast`, and for the warm start."""
    warm: Literal["varsal", "gradient", "center", "flat"] = "varsal"
    """The start of "warm", a name in `benchmarks.fido_cost.starts.STARTS`."""
    stops: tuple[tuple[float, float], ...] = ((0.02, 0.2), (0.01, 0.1), (0.003, 0.1))
    """`move` and `gain` of each `fidojax.Stop` of the paper's schedule."""
    fast_stops: tuple[tuple[float, float], ...] = ((0.03, 0.2), (0.02, 0.2), (0.01, 0.1))
    """The same for `fast`, whose mask moves faster."""
    budgets: tuple[int, int] = (2400, 480)
    """Largest number of evaluations of the stopped families: the paper's schedule, and `fast`."""
    infill: str = "mean"
    objective: Literal["ssr", "sdr"] = "ssr"


class Plan(NamedTuple):
    """A schedule of a family.

    Attributes:
        family: a name in FAMILIES.
        options: those of FIDO.
        stop: as `fidojax.explain_batch` takes it.
    """

    family: str
    options: dict[str, Any]
    stop: Stop | None = None


class Point(NamedTuple):
    """The measures of one schedule.

    Attributes:
        family: a name in FAMILIES.
        stop: the criterion, or None.
        values: one per picture, a mean over the seeds, by the names in `pareto_report.MEASURES` and
            "evaluations".
    """

    family: str
    stop: Stop | None
    values: Values


def main(config: Config) -> list[Point]:
    """Explain, measure, print the table and write it and the figure to `out`."""
    subjects = choose(config)
    plans = planned(config)
    fixed = {"objective": config.objective, "infill": config.infill}
    start = None
    if "warm" in config.families:
        encoder = load_encoder(config.network) if config.warm == "varsal" else None
        start = starting(config.warm, subjects, encoder, objective=config.objective)
    print(f"{len(subjects.pictures)} pictures, {len(plans)} points, two maps each")
    points = []
    for plan in plans:
        options = fixed | plan.options
        own = start if plan.family == "warm" else None
        found = explain(config, subjects, options, plan.family, start=own, stop=plan.stop)
        saliency = [each.saliency for each in found]
        values = measure(config, subjects, fixed, saliency)
        values["deletion"] = deleted(subjects, saliency)
        each = fido_loop(**resolved(options)).evaluations
        values["evaluations"] = each * np.mean([maps.steps for maps in found], axis=0)
        points.append(Point(plan.family, plan.stop, values))
    record = {"points": [point._asdict() | {"values": plain(point.values)} for point in points]}
    write(config, subjects, record, pareto_report.table(points))
    pareto_report.figure(points).savefig(config.out / "pareto.png", dpi=110)
    return points


def planned(config: Config) -> list[Plan]:
    """Return the schedules of the families, in the order of `config.families`."""
    long, short = config.budgets
    plans = {
        "paper": [Plan("paper", _paper(n)) for n in config.paper],
        "fast": [Plan("fast", schedule("cold", n)) for n in config.fast],
        "warm": [Plan("warm", schedule("warm", n)) for n in config.fast],
        "paper, stopped": [
            Plan("paper, stopped", _paper(long), Stop(*stop)) for stop in config.stops
        ],
        "fast, stopped": [
            Plan("fast, stopped", schedule("cold", short), Stop(*stop))
            for stop in config.fast_stops
        ],
    }
    return [plan for family in config.families for plan in plans[family]]


def _paper(evaluations: int) -> dict[str, Any]:
    """Return the paper's schedule, eight evaluations per step, with a proportional warm-up."""
    steps = evaluations // 8
    return presets.paper | {"steps": steps, "warmup": max(1, steps // 10)}


def deleted(subjects: Subjects, maps: list[np.ndarray]) -> Float[np.ndarray, " n"]:
    """Return the share of the pixels, most salient first, that carry half of the log-odds."""
    infill = INFILLERS["mean"]()
    pairs = list(zip(subjects.pictures, subjects.targets, strict=True))
    found = [
        [
            _deleted(subjects.network.classifier, p.image, target, one, infill=infill)
            for (p, target), one in zip(pairs, saliency, strict=True)
        ]
        for saliency in maps
    ]
    return np.mean(np.asarray(found), axis=0)


@jax.jit
def _deleted(
    classifier: Classifier, image: Image, target: Target, saliency: Saliency, *, infill: Infiller
) -> Array:
    key = jax.random.key(0)  # the mean infiller draws nothing
    found = deletion(key, classifier, image, target, saliency, infill=infill, levels=(0.5,))
    return found.needed[0] / saliency.size


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
