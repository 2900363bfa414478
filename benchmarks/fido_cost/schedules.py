"""Compare schedules of FIDO: the evaluations of the classifier, and the measures of the maps.

    python -m benchmarks.fido_cost.schedules --out DIR --data-dir D
    python -m benchmarks.fido_cost.schedules --out DIR --data-dir D --part tune --count 24
    python -m benchmarks.fido_cost.schedules --out DIR --network keras:MobileNetV2 --weights W \\
        --pictures PHOTOS --count 12 --batch-size 4

D is a folder of TFDS data sets, W a file of the network's weights, PHOTOS a folder of pictures. All
finished groups of maps are stored in DIR: a stopped run continues, and a further schedule computes
only its own maps. docs/schedules.md has the tables and the search for the preset `fast`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import tyro
from jaxtyping import Float

from benchmarks.fido_cost import maps
from benchmarks.fido_cost.maps import choose, explain, measure, resolved, write
from eval.report import markdown_table
from fidojax import presets
from fidojax.methods import fido_loop

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
warm relaxation with large steps from which the search for `fast` started."""


@dataclasses.dataclass(frozen=True)
class Config(maps.Config):
    """Explain the same pictures under every schedule, with two seeds, and print one table."""

    schedules: tuple[str, ...] = tuple(SCHEDULES)
    """Names in SCHEDULES, or "own"; differences are those to the first one."""
    options: dict[str, int | float | str] = dataclasses.field(default_factory=dict)
    """The schedule "own": `--schedules paper own --options steps 80 samples 3 average 0.4`."""
    infills: tuple[str, ...] = ("mean", "blur")
    objectives: tuple[Literal["ssr", "sdr"], ...] = ("ssr",)


class ScheduleRow(NamedTuple):
    """One schedule with one infiller and one objective: means over pictures and seeds.

    Attributes:
        schedule, infill, mode: the names; `mode` is that of the objective.
        evaluations: forward and backward passes of the classifier for one map.
        objective: its expectation under hard Bernoulli masks, regularisers included.
        against: its mean difference to the first schedule's on the same pictures.
        error: standard error of that difference.
        on: share of the pixels whose map value is above 0.5.
        outside: share of those pixels outside the boxes; None without boxes.
        correlation: Pearson's correlation of the two seeds' maps, mean over pictures.
        tv: total variation of the keep probability, a sum.
        probability: p(target) on the picture with all pixels but those with keep > 0.5 infilled.
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
    """Explain, measure, print the table and write it to `out`."""
    subjects = choose(config)
    known = SCHEDULES | {"own": dict(config.options)}
    cases = [(m, i, s) for m in config.objectives for i in config.infills for s in config.schedules]
    print(f"{len(subjects.pictures)} pictures, {len(cases)} rows, two maps each")
    rows: list[ScheduleRow] = []
    base = np.zeros(len(subjects.pictures))
    for mode, infill, schedule in cases:
        options: dict[str, Any] = {"objective": mode, "infill": infill, **known[schedule]}
        loop = fido_loop(**resolved(options))
        found = explain(config, subjects, options, f"{schedule}, {infill}, {mode}")
        values = measure(config, subjects, options, [each.saliency for each in found])
        if schedule == config.schedules[0]:
            base = values["objective"]
        difference = values["objective"] - base
        means: dict[str, Any] = {name: _mean(value) for name, value in values.items()}
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
    write(config, subjects, {"rows": [row._asdict() for row in rows]}, markdown(rows))


def _mean(values: Float[np.ndarray, " n"]) -> float | None:
    """Return the mean of the values that are not NaN, None if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def markdown(rows: Sequence[ScheduleRow]) -> str:
    """Return the rows as one table."""
    return markdown_table(
        [
            {
                "schedule": r.schedule,
                "infill": r.infill,
                "objective": r.mode.upper(),
                "evaluations": f"{r.evaluations}",
                "J": f"{r.objective:.2f}",
                "against the first": f"{r.against:+.2f} ± {r.error:.2f}",
                "on": f"{r.on:.3f}",
                "outside box": "" if r.outside is None else f"{r.outside:.3f}",
                "seed correlation": f"{r.correlation:.3f}",
                "TV": f"{r.tv:.0f}",
                "p(class)": f"{r.probability:.3f}",
            }
            for r in rows
        ]
    )


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
