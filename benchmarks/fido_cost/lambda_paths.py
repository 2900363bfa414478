"""Compare one path of FIDO's maps over several λ with a separate run for each.

    python -m benchmarks.fido_cost.lambda_paths --out DIR --data-dir D --count 8

"path" is `fidojax.engine.lambda_path`, "own" a run of the preset `fast` for each λ, and "short" the
same in the number of steps that the path takes for a further λ. J is measured at the row's λ.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tyro

from benchmarks.fido_cost import maps
from benchmarks.fido_cost.columns import Values, against, cells, mean
from benchmarks.fido_cost.maps import choose, correlations, explain, measure, plain, resolved, write
from benchmarks.fido_cost.starts import schedule
from eval.report import markdown_table
from fidojax import presets
from fidojax.engine import lambda_path
from fidojax.methods import fido_loop


@dataclasses.dataclass(frozen=True)
class Config(maps.Config):
    """Explain the same pictures for every λ in three ways, with two seeds."""

    lams: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 4e-3)
    again: int = 30
    """`again` of `fidojax.engine.lambda_path`."""
    limit: float = 4.0
    """`limit` of `fidojax.engine.lambda_path`."""
    infill: str = "mean"
    objective: Literal["ssr", "sdr"] = "ssr"


def main(config: Config) -> dict[str, list[Values]]:
    """Explain, measure, print the table and write it to `out`."""
    subjects = choose(config)
    fixed = {"objective": config.objective, "infill": config.infill}
    whole = fido_loop(**resolved(fixed), **presets.fast)
    short = schedule("cold", config.again * whole.evaluations)
    paths = [_path(config, subjects, fixed, seed) for seed in config.seeds]
    found: dict[str, list[Values]] = {"own": [], "short": [], "path": []}
    for at, lam in enumerate(config.lams):
        each = {"path": [path[at] for path in paths]}
        for name, options in (("own", presets.fast), ("short", short)):
            options = fixed | options | {"lam": lam}
            seeds = explain(config, subjects, options, f"{name}, {lam:g}")
            each[name] = [one.saliency for one in seeds]
        for name, seeds in each.items():
            values = measure(config, subjects, fixed | {"lam": lam}, seeds)
            values["like"] = np.mean(list(map(correlations, seeds, each["own"])), axis=0)
            found[name].append(values)
    steps = {"own": [whole.steps] * len(config.lams), "short": [config.again] * len(config.lams)}
    steps["path"] = [whole.steps] + [config.again] * (len(config.lams) - 1)
    evaluations = {name: whole.evaluations * np.array(n) for name, n in steps.items()}
    record = {name: [plain(values) for values in rows] for name, rows in found.items()}
    write(config, subjects, record, table(found, config.lams, evaluations))
    return found


def _path(config: Config, subjects: maps.Subjects, fixed: Mapping[str, Any], seed: int) -> Any:
    return lambda_path(
        subjects.network.classifier,
        np.stack([picture.image for picture in subjects.pictures]),
        subjects.targets,
        config.lams,
        options=resolved(fixed) | presets.fast,
        again=config.again,
        limit=config.limit,
        seed=seed,
        ids=subjects.ids,
        batch_size=config.batch_size,
    ).saliency


def table(
    found: Mapping[str, Sequence[Values]],
    lams: Sequence[float],
    evaluations: Mapping[str, np.ndarray],
) -> str:
    """Return all rows with 95% intervals over pictures, J also against the separate runs."""
    lines = []
    for at, lam in enumerate(lams):
        for name, rows in found.items():
            values, own = rows[at], found["own"][at]
            lines.append(
                {
                    "λ": f"{lam:g}",
                    "run": name,
                    "evaluations": f"{evaluations[name][at]}",
                    **cells(values, ["objective"]),
                    "ΔJ to own": "" if name == "own" else against(values, own),
                    "on": f"{mean(values, 'on').value:.3f}",
                    "outside box": f"{mean(values, 'outside').value:.3f}",
                    "seeds": f"{mean(values, 'correlation').value:.3f}",
                    "like own": f"{mean(values, 'like').value:.3f}",
                }
            )
    return markdown_table(lines)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
