"""Measure the evaluations that FIDO saves by starting from the map of a cheaper method.

    python -m benchmarks.fido_cost.warm_start --out DIR --data-dir D
    python -m benchmarks.fido_cost.warm_start --out DIR --data-dir D --part tune --spread 2

All starts and numbers of evaluations have the same pictures and seeds. "cold" is the preset `fast`
in that number of evaluations; the others share `benchmarks.fido_cost.starts.WARM`, which has a
shorter coarse phase, and differ in their start: "flat" is constant, "center" a Gaussian in the
middle, "gradient" and "varsal" are those methods' maps. Two seeds with the same start agree on what
it says, right or wrong. Therefore the tables have, besides their agreement, the objective, the
share outside the object's box, and the correlation with the map of the paper's 2400 evaluations
from a cold start.

All finished groups of maps are stored in DIR, from where a stopped run continues.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Float

from benchmarks.fido_cost import maps, warm_start_report
from benchmarks.fido_cost.columns import Values
from benchmarks.fido_cost.maps import choose, correlations, explain, measure, plain, write
from benchmarks.fido_cost.starts import STARTS, Start, schedule, starting
from fidojax import presets
from fidojax.bench import bare_gradient, interleaved
from fidojax.core import upsample
from fidojax.networks import Pretrained, load_encoder
from fidojax.transforms.cpu import fast
from fidojax.types import Encoder


@dataclasses.dataclass(frozen=True)
class Config(maps.Config):
    """Explain the same pictures from several starts in several numbers of evaluations."""

    encoder: str | None = None
    """As `fidojax.networks.load_encoder` takes it; the network's name if not given."""
    starts: tuple[Start, ...] = STARTS
    """The first one is compared with the others."""
    evaluations: tuple[int, ...] = (60, 120, 240, 480)
    """Evaluations of the classifier for a map; a step takes four."""
    infill: str = "mean"
    objective: Literal["ssr", "sdr"] = "ssr"
    level: float = 0.4
    """`level` of `fidojax.start_from`."""
    spread: float = 1.0
    """`spread` of `fidojax.start_from`."""
    options: dict[str, int | float] = dataclasses.field(default_factory=dict)
    """Changes of `WARM`: `--options learning_rate 0.5 temperature 1` lowers J and the stability."""
    paper: bool = True
    """Also run the paper's schedule, and compare its maps with all others."""


class Case(NamedTuple):
    """The measures of one start after a number of evaluations.

    Attributes:
        start: a name in STARTS, or "paper".
        evaluations: forward and backward passes of the classifier for one map.
        values: one per picture, by the names in `warm_start_report.MEASURES`.
    """

    start: str
    evaluations: int
    values: Values


def main(config: Config) -> list[Case]:
    """Explain, measure, print the tables and write them to `out`."""
    encoder = load_encoder(config.encoder or config.network)
    subjects = choose(config)
    fixed = {"objective": config.objective, "infill": config.infill}
    planned = [(start, n) for start in config.starts for n in (0, *config.evaluations)]
    print(f"{len(subjects.pictures)} pictures, {len(planned)} cases, two maps each")
    cases, long_run = [], None

    def judge(name: str, evaluations: int, found: Sequence[np.ndarray]) -> None:
        values = measure(config, subjects, fixed, found)
        if long_run is not None:
            values["long_run"] = np.mean([correlations(m, long_run) for m in found], axis=0)
        if not evaluations:  # the start does not depend on the seed
            values["correlation"] = np.full(len(subjects.pictures), np.nan)
        cases.append(Case(name, evaluations, values))

    def run(options: dict[str, Any], title: str, start: np.ndarray | None) -> list[np.ndarray]:
        found = explain(config, subjects, fixed | options, title, start=start)
        return [each.saliency for each in found]

    if config.paper:
        found = run(presets.paper, "paper", None)
        long_run = np.mean(found, axis=0)
        judge("paper", 2400, found)
    how = {"objective": config.objective, "level": config.level, "spread": config.spread}
    starts = {name: starting(name, subjects, encoder, **how) for name in config.starts}
    for name, evaluations in planned:
        start, title = starts[name], f"{name}, {evaluations} evaluations"
        if evaluations:
            options = schedule(name, evaluations, config.options)
            found = run(options, title, None if name == "cold" else start)
        else:
            found = [_as_maps(start, config.objective, subjects.network.size[:2])] * 2
        judge(name, evaluations, found)
    text = warm_start_report.tables(cases, config.starts)
    text += "\n" + price(encoder, subjects.network)
    record = {"cases": [case._asdict() | {"values": plain(case.values)} for case in cases]}
    write(config, subjects, record, text)
    return cases


def _as_maps(
    start: Float[np.ndarray, "n rows columns"], objective: str, shape: tuple[int, ...]
) -> Float[np.ndarray, "n h w"]:
    keep = np.asarray(jax.vmap(lambda each: upsample(each, shape))(jnp.asarray(start)))
    return keep if objective == "ssr" else 1 - keep


def price(encoder: Encoder, network: Pretrained, batch: int = 16) -> str:
    """Return the cost of the encoder's start as a sentence: its time in evaluations."""
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
