"""How few classifier evaluations does a FIDO map need? Schedules side by side.

    python -m benchmarks.fido_cost.schedules --out DIR --data-dir D
    python -m benchmarks.fido_cost.schedules --out DIR --data-dir D --part tune --count 24
    python -m benchmarks.fido_cost.schedules --out DIR --network keras:MobileNetV2 --weights W \\
        --pictures PHOTOS --count 12 --batch-size 4

D holds the TFDS data sets, W the network's weights, PHOTOS pictures. Every finished group of maps
is kept in DIR: a run that was stopped goes on where it was, and one more schedule costs its own
maps only. The tables, and how the preset `fast` was found, are in docs/schedules.md.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import tyro
from rich.console import Console
from rich.progress import Progress

from benchmarks.fido_cost import fido_maps
from benchmarks.fido_cost.fido_maps import choose, explain, known_mean, measure
from fidojax import networks, presets
from fidojax.methods import fido_loop
from infillers import INFILLERS

SCHEDULES: dict[str, dict[str, Any]] = {
    "paper": presets.paper,
    "cut": {"steps": 30, "warmup": 3},
    "warm": {
        "steps": 60,
        "samples": 4,
        "learning_rate": 0.3,
        "temperature": 0.7,
        "b2": 0.99,
        "antithetic": True,
        "warmup": 6,
    },
    "fast": presets.fast,
}
"""Options of `fido` by name. "cut" is the paper's schedule in a tenth of its steps, "warm" the
plain warm relaxation with large steps that the search for `fast` started from."""


@dataclasses.dataclass(frozen=True)
class Config(fido_maps.Config):
    """Explain the same pictures under every schedule, with two seeds, and print one table."""

    schedules: tuple[str, ...] = tuple(SCHEDULES)
    """Names in SCHEDULES, or "own"; differences are taken to the first."""
    options: dict[str, int | float | str] = dataclasses.field(default_factory=dict)
    """The schedule "own": `--schedules paper own --options steps 80 samples 3 average 0.4`."""
    infills: tuple[str, ...] = ("mean", "blur")
    objectives: tuple[Literal["ssr", "sdr"], ...] = ("ssr",)


class ScheduleRow(NamedTuple):
    """One schedule with one infiller: means over pictures and seeds.

    Attributes:
        schedule, infill, mode: which.
        evaluations: of the classifier, forward and backward, for one map.
        objective: in expectation under hard Bernoulli masks, regularisers included.
        against: its mean difference to the first schedule's on the same pictures.
        error: standard error of that difference.
        on: share of the pixels whose map value is above 0.5.
        outside: share of those that lie outside the boxes; None without boxes.
        correlation: Pearson between the maps of the two seeds, mean over pictures.
        tv: total variation of the keep probability, a sum.
        probability: p(target) where the pixels with keep > 0.5 stand on the infill.
    """

    schedule: str
    infill: str
    mode: str
    evaluations: int
    objective: float
    against: float
    error: float
    on: float
    outside: float | None
    correlation: float
    tv: float
    probability: float


def main(config: Config) -> None:
    """Explains, measures, prints the table and writes it to `out`."""
    console = Console()
    network = networks.load(config.network, config.weights)
    chosen, targets = choose(config, network)
    known = SCHEDULES | {"own": dict(config.options)}
    cases = [(m, i, s) for m in config.objectives for i in config.infills for s in config.schedules]
    console.print(f"{len(chosen)} pictures, {len(cases)} rows, two maps each")
    rows: list[ScheduleRow] = []
    base = np.zeros(len(chosen))
    with Progress(console=console, transient=True) as bar:
        for mode, infill, schedule in cases:
            options: dict[str, Any] = {"objective": mode, "infill": INFILLERS[infill]()}
            options |= known[schedule]
            loop = fido_loop(**options)
            title = f"{schedule}, {infill}, {mode}"
            found = explain(
                network.classifier, chosen, targets, infill, options, config, bar, title
            )
            maps = [each.saliency for each in found]
            values = measure(network.classifier, chosen, targets, maps, options, config.samples)
            if schedule == config.schedules[0]:
                base = values["objective"]
            difference = values["objective"] - base
            means: dict[str, Any] = {name: known_mean(value) for name, value in values.items()}
            rows.append(
                ScheduleRow(
                    schedule=schedule,
                    infill=infill,
                    mode=mode,
                    evaluations=loop.steps * loop.evaluations,
                    against=float(difference.mean()),
                    error=float(difference.std() / max(len(difference) - 1, 1) ** 0.5),
                    **means,
                )
            )
    ids = [picture.id for picture in chosen]
    text = json.dumps({"pictures": ids, "rows": [row._asdict() for row in rows]}, indent=1)
    (config.out / "table.json").write_text(text + "\n")
    console.print(markdown(rows), soft_wrap=True, markup=False, highlight=False)


def markdown(rows: Sequence[ScheduleRow]) -> str:
    """The rows as one table."""
    lines = [
        "| schedule | infill | objective | evaluations | J | against the first | on | outside box "
        "| seed correlation | TV | p(class) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        box = "" if r.outside is None else f"{r.outside:.3f}"
        lines.append(
            f"| {r.schedule} | {r.infill} | {r.mode.upper()} | {r.evaluations} "
            f"| {r.objective:.2f} | {r.against:+.2f} ± {r.error:.2f} | {r.on:.3f} | {box} "
            f"| {r.correlation:.3f} | {r.tv:.0f} | {r.probability:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Config))
