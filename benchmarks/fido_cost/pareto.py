"""What a FIDO map costs and what it is worth: families of schedules on the same pictures.

    python -m benchmarks.fido_cost.pareto --out DIR --data-dir D --count 16
    python -m benchmarks.fido_cost.pareto --out DIR --network keras:MobileNetV2 --weights W \\
        --pictures PHOTOS --count 4 --batch-size 1 --samples 32 --warm gradient

"paper" and "fast" are those presets in fewer and more steps, "warm" starts from the map of a
cheaper method, and "stopped" ones have a long budget that ends picture by picture where the map has
converged (`fidojax.Stop`), at several strictnesses; their evaluations are means over pictures.

Every finished group of maps is kept in DIR: a run that was stopped goes on where it was.
"""

import dataclasses
import json
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import tyro
from jaxtyping import Array, Float
from rich.console import Console
from rich.progress import Progress

from benchmarks.fido_cost import fido_maps, pareto_report
from benchmarks.fido_cost.fido_maps import Maps, choose, explain, measure
from benchmarks.fido_cost.warm_start import Config as WarmStart
from benchmarks.fido_cost.warm_start import plain, schedule, starting
from fidojax import networks, presets
from fidojax.data import Picture
from fidojax.engine import Stop
from fidojax.methods import fido_loop
from fidojax.metrics import deletion
from fidojax.networks import load_encoder
from fidojax.types import Classifier, Image, Infiller, Saliency, Target
from infillers import INFILLERS

Family = Literal["paper", "fast", "warm", "paper, stopped", "fast, stopped"]
FAMILIES: tuple[Family, ...] = ("paper", "fast", "warm", "paper, stopped", "fast, stopped")


@dataclasses.dataclass(frozen=True)
class Config(fido_maps.Config):
    """Explain the same pictures under every schedule, with two seeds; draw what each is worth."""

    families: tuple[Family, ...] = FAMILIES
    paper: tuple[int, ...] = (120, 240, 480, 960, 2400)
    """Evaluations of the classifier for a map by the paper's schedule, in as many steps fewer."""
    fast: tuple[int, ...] = (60, 120, 240, 480)
    """The same of `fast`, and from a warm start."""
    warm: Literal["varsal", "gradient", "center", "flat"] = "varsal"
    """Where "warm" starts: a name in `benchmarks.fido_cost.warm_start.STARTS`."""
    stops: tuple[tuple[float, float], ...] = ((0.02, 0.2), (0.01, 0.1), (0.003, 0.1))
    """Move and gain of each `fidojax.Stop` of the paper's schedule."""
    fast_stops: tuple[tuple[float, float], ...] = ((0.03, 0.2), (0.02, 0.2), (0.01, 0.1))
    """The same of `fast`, whose mask moves faster."""
    budgets: tuple[int, int] = (2400, 480)
    """Evaluations that the stopped families have at most: of the paper's schedule, of `fast`."""
    infill: str = "mean"
    objective: Literal["ssr", "sdr"] = "ssr"


class Plan(NamedTuple):
    """A schedule of a family.

    Attributes:
        family: a name in FAMILIES.
        options: of FIDO.
        stop: as `fidojax.explain_batch` takes it.
    """

    family: str
    options: dict[str, Any]
    stop: Stop | None = None


class Point(NamedTuple):
    """What a schedule costs and what its maps are worth.

    Attributes:
        family: a name in FAMILIES.
        stop: the criterion, or None.
        values: one per picture, a mean over the seeds, by the names of `pareto_report.MEASURES`.
    """

    family: str
    stop: Stop | None
    values: dict[str, Float[np.ndarray, " n"]]


def main(config: Config) -> list[Point]:
    """Explains, measures, prints the table and writes it and the figure to `out`."""
    console = Console()
    network = networks.load(config.network, config.weights)
    chosen, targets = choose(config, network)
    plans = planned(config)
    fixed = {"objective": config.objective, "infill": INFILLERS[config.infill]()}
    start = _starts(config, network, chosen, targets) if "warm" in config.families else None
    console.print(f"{len(chosen)} pictures, {len(plans)} points, two maps each")
    points = []
    with Progress(console=console, transient=True) as bar:
        for plan in plans:
            options = fixed | plan.options
            found = explain(
                network.classifier, chosen, targets, config.infill, options, config, bar,
                plan.family, start if plan.family == "warm" else None, plan.stop,
            )  # fmt: skip
            maps = [each.saliency for each in found]
            values = measure(network.classifier, chosen, targets, maps, fixed, config.samples)
            values["deletion"] = deleted(network.classifier, chosen, targets, maps)
            values["evaluations"] = _spent(found, fido_loop(**options).evaluations)
            points.append(Point(plan.family, plan.stop, values))
    record = {
        "pictures": [picture.id for picture in chosen],
        "settings": {**dataclasses.asdict(config), "out": None, "data_dir": None},
        "points": [point._asdict() | {"values": plain(point.values)} for point in points],
    }
    (config.out / "table.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
    text = pareto_report.table(points)
    (config.out / "table.md").write_text(text + "\n")
    pareto_report.figure(points).savefig(config.out / "pareto.png", dpi=110)
    console.print(text, soft_wrap=True, markup=False, highlight=False)
    return points


def planned(config: Config) -> list[Plan]:
    """The schedules of the families, in their order."""
    long, short = config.budgets
    plans = {
        "paper": [Plan("paper", _paper(n)) for n in config.paper],
        "fast": [Plan("fast", schedule("cold", n, {})) for n in config.fast],
        "warm": [Plan("warm", schedule("warm", n, {})) for n in config.fast],
        "paper, stopped": [
            Plan("paper, stopped", _paper(long), Stop(*stop)) for stop in config.stops
        ],
        "fast, stopped": [
            Plan("fast, stopped", schedule("cold", short, {}), Stop(*stop))
            for stop in config.fast_stops
        ],
    }
    return [plan for family in config.families for plan in plans[family]]


def _paper(evaluations: int) -> dict[str, Any]:
    """The paper's schedule, whose steps take eight evaluations, its warm-up in proportion."""
    steps = evaluations // 8
    return presets.paper | {"steps": steps, "warmup": max(1, steps // 10)}


def _starts(config: Config, network: Any, chosen: list[Picture], targets: list[int]) -> np.ndarray:
    how = WarmStart(out=config.out, objective=config.objective)
    encoder: Any = load_encoder(config.network) if config.warm == "varsal" else None
    return starting(config.warm, how, network, encoder, chosen, targets)


def _spent(found: list[Maps], each: int) -> Float[np.ndarray, " n"]:
    return each * np.mean([maps.steps for maps in found], axis=0)


def deleted(
    classifier: Classifier, chosen: list[Picture], targets: list[int], maps: list[np.ndarray]
) -> Float[np.ndarray, " n"]:
    """Share of the pixels that go, most salient first, until half of the log-odds have gone."""
    found = [
        [
            _deleted(classifier, picture.image, target, each, infill=INFILLERS["mean"]())
            for picture, target, each in zip(chosen, targets, saliency, strict=True)
        ]
        for saliency in maps
    ]
    return np.mean(np.asarray(found), axis=0)


@jax.jit
def _deleted(
    classifier: Classifier, image: Image, target: Target, saliency: Saliency, *, infill: Infiller
) -> Array:
    key = jax.random.key(0)  # the mean takes no chance
    found = deletion(key, classifier, image, target, saliency, infill=infill, levels=(0.5,))
    return found.needed[0] / saliency.size


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
