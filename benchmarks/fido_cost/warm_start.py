"""How many classifier evaluations does FIDO save that starts from an amortised map?

    python -m benchmarks.fido_cost.warm_start --out DIR --data-dir D
    python -m benchmarks.fido_cost.warm_start --out DIR --data-dir D --part tune --count 8 --spread 2

The same pictures and seeds under each start and number of evaluations. "cold" is the preset `fast`
in that many evaluations; the others share `WARM`, which has no coarse phase, and differ by their
start: "flat" has none, "center" is a Gaussian in the middle, "gradient" and "varsal" are those
methods' maps. Two seeds from one start agree on whatever it says, right or wrong: so the tables
have beside their agreement the objective, the share outside the object's box, and the correlation
with the map of the paper's 2400 evaluations from a cold start.

Every finished group of maps is kept in DIR: a run that was stopped goes on where it was.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Float
from rich.console import Console
from rich.progress import Progress

from benchmarks.fido_cost import fido_maps, warm_start_report
from benchmarks.fido_cost.fido_maps import choose, correlations, explain, measure
from fidojax import METHODS, networks, presets, start_from
from fidojax.bench import bare_gradient, interleaved
from fidojax.core import upsample
from fidojax.data import Picture
from fidojax.networks import Pretrained, load_encoder
from fidojax.transforms.cpu import fast
from infillers import INFILLERS

WARM: dict[str, Any] = presets.fast | {"smooth": 0.06}
"""`fast` with less of its coarse phase, which would undo a start."""
STARTS = ("cold", "flat", "center", "gradient", "varsal")


@dataclasses.dataclass(frozen=True)
class Config(fido_maps.Config):
    """FIDO from several starts, at several numbers of evaluations."""

    encoder: str | None = None
    """What `fidojax.networks.load_encoder` takes; the network's name if not given."""
    starts: tuple[Literal["cold", "flat", "center", "gradient", "varsal"], ...] = STARTS
    """The first is what the others are compared with."""
    evaluations: tuple[int, ...] = (60, 120, 240, 480)
    """Of the classifier for a map; a step takes four."""
    infill: str = "mean"
    objective: Literal["ssr", "sdr"] = "ssr"
    level: float = 0.4
    """`level` of `fidojax.start_from`."""
    spread: float = 1.0
    """`spread` of `fidojax.start_from`."""
    options: dict[str, int | float] = dataclasses.field(default_factory=dict)
    """Changes `WARM`: `--options learning_rate 0.5 temperature 1` buys objective for stability."""
    paper: bool = True
    """Also the paper's schedule, whose maps the others are compared with."""


class Case(NamedTuple):
    """The maps of one start after so many evaluations.

    Attributes:
        start: a name in STARTS, or "paper".
        evaluations: of the classifier, forward and backward, for one map.
        values: one per picture, by the names of `warm_start_report.MEASURES`.
    """

    start: str
    evaluations: int
    values: dict[str, Float[np.ndarray, " n"]]


def main(config: Config) -> list[Case]:
    """Explains, measures, prints the tables and writes them to `out`."""
    console = Console()
    network = networks.load(config.network, config.weights)
    encoder = load_encoder(config.encoder or config.network)
    chosen, targets = choose(config, network)
    fixed = {"objective": config.objective, "infill": INFILLERS[config.infill]()}
    planned = [(start, n) for start in config.starts for n in (0, *config.evaluations)]
    console.print(f"{len(chosen)} pictures, {len(planned)} cases, two maps each")
    cases, long_run = [], None
    with Progress(console=console, transient=True) as bar:

        def judge(name: str, evaluations: int, maps: Sequence[np.ndarray]) -> None:
            values = measure(network.classifier, chosen, targets, maps, fixed, config.samples)
            if long_run is not None:
                values["long_run"] = np.mean([correlations(m, long_run) for m in maps], axis=0)
            if not evaluations:  # no seed has entered
                values["correlation"] = np.full(len(chosen), np.nan)
            cases.append(Case(name, evaluations, values))

        def run(options: dict[str, Any], title: str, start: np.ndarray | None) -> list:
            found = explain(
                network.classifier, chosen, targets, config.infill, fixed | options, config, bar,
                title, start,
            )  # fmt: skip
            return [each.saliency for each in found]

        if config.paper:
            maps = run(presets.paper, "paper", None)
            long_run = np.mean(maps, axis=0)
            judge("paper", 2400, maps)
        starts = {
            name: starting(name, config, network, encoder, chosen, targets)
            for name in config.starts
        }
        for name, evaluations in planned:
            start, title = starts[name], f"{name}, {evaluations} evaluations"
            if evaluations:
                options = schedule(name, evaluations, config.options)
                maps = run(options, title, None if name == "cold" else start)
            else:
                maps = [_as_maps(start, config.objective, network.size[:2])] * 2
            judge(name, evaluations, maps)
    text = warm_start_report.tables(cases, config.starts)
    text += "\n\n" + price(encoder, network)
    record = {
        "pictures": [picture.id for picture in chosen],
        "settings": {**dataclasses.asdict(config), "out": None, "data_dir": None},
        "cases": [case._asdict() | {"values": plain(case.values)} for case in cases],
    }
    (config.out / "table.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
    (config.out / "table.md").write_text(text + "\n")
    console.print(text, soft_wrap=True, markup=False, highlight=False)
    return cases


def plain(values: Mapping[str, np.ndarray]) -> dict[str, list[float | None]]:
    """For JSON, which has no NaN."""
    return {
        name: [None if np.isnan(x) else float(x) for x in column] for name, column in values.items()
    }


def schedule(start: str, evaluations: int, more: Mapping[str, Any]) -> dict[str, Any]:
    """Options of FIDO that take so many evaluations of the classifier."""
    options = presets.fast if start == "cold" else WARM | dict(more)
    steps = evaluations // options["samples"]
    return options | {"steps": steps, "warmup": max(1, steps // 10)}


def starting(
    name: str,
    config: Config,
    network: Pretrained,
    encoder: Callable,
    chosen: Sequence[Picture],
    targets: Sequence[int],
) -> Float[np.ndarray, "n rows columns"]:
    """The keep probability of each picture before the first step."""
    height, width, _ = network.size
    one = partial(start_from, objective=config.objective, level=config.level, spread=config.spread)
    if name in ("cold", "flat"):
        flat = partial(start_from, scale="value", level=0.5 if name == "cold" else config.level)
        start = flat(jnp.zeros((height, width)), objective=config.objective)
        return np.tile(start, (len(chosen), 1, 1))
    if name == "center":
        rows, columns = (np.linspace(-1, 1, side) for side in (height, width))
        bump = np.exp(-2 * (rows[:, None] ** 2 + columns**2)).astype(np.float32)
        return np.tile(one(jnp.asarray(bump)), (len(chosen), 1, 1))
    options = {"encoder": encoder} if name == "varsal" else {}
    classifier = fast(network.classifier)

    @jax.jit
    def found(classifier, options, image, target):
        return one(METHODS[name](jax.random.key(0), classifier, image, target, **options).saliency)

    pairs = zip(chosen, targets, strict=True)
    return np.stack([found(classifier, options, p.image, target) for p, target in pairs])


def _as_maps(
    start: Float[np.ndarray, "n rows columns"], objective: str, shape: tuple[int, ...]
) -> Float[np.ndarray, "n h w"]:
    keep = np.asarray(jax.vmap(lambda each: upsample(each, shape))(jnp.asarray(start)))
    return keep if objective == "ssr" else 1 - keep


def price(encoder: Callable, network: Pretrained, batch: int = 16) -> str:
    """What the start costs: a pass of the encoder beside an evaluation with its gradient."""
    images = np.random.default_rng(0).random((batch, *network.size), np.float32)
    targets = np.zeros(batch, np.int32)
    classifier, passed = fast(network.classifier), jax.jit(lambda f, x: f(x))
    calls = [
        lambda: passed(encoder, images),
        lambda: bare_gradient(classifier, images, targets),
    ]
    one, other = interleaved(calls, 5, 2)
    return f"A pass of the encoder takes the time of {one / other:.1f} evaluations."


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
