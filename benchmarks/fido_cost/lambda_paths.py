"""FIDO for several weights of the region's size: one path of maps beside runs of their own.

    python -m benchmarks.fido_cost.lambda_paths --out DIR --data-dir D --count 8

"path" is `fidojax.engine.explain.lambda_path`, "own" a run of the preset `fast` for each weight, "short" the
same in as many steps as the path takes for a further weight. J is measured at the row's weight.
"""

import dataclasses
import json
from typing import Any, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.progress import Progress

from benchmarks.fido_cost import fido_maps
from benchmarks.fido_cost.fido_maps import choose, correlations, explain, measure
from benchmarks.fido_cost.warm_start import plain, schedule
from eval.intervals import difference, means
from fidojax import networks, presets
from fidojax.engine import lambda_path
from fidojax.methods import fido_loop
from infillers import INFILLERS

Values = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Config(fido_maps.Config):
    """Explain the same pictures for every weight, three times, with two seeds."""

    lams: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 4e-3)
    again: int = 30
    """`again` of `fidojax.engine.explain.lambda_path`."""
    limit: float = 4.0
    """`limit` of `fidojax.engine.explain.lambda_path`."""
    infill: str = "mean"
    objective: Literal["ssr", "sdr"] = "ssr"


def main(config: Config) -> dict[str, list[Values]]:
    """Explains, measures, prints the table and writes it to `out`."""
    console = Console()
    network = networks.load(config.network, config.weights)
    chosen, targets = choose(config, network)
    fixed = {"objective": config.objective, "infill": INFILLERS[config.infill]()}
    whole = fido_loop(**fixed, **presets.fast)
    short = schedule("cold", config.again * whole.evaluations, {})
    images = np.stack([picture.image for picture in chosen])
    ids = [picture.id for picture in chosen]
    paths = [
        lambda_path(
            network.classifier, images, targets, config.lams, options=fixed | presets.fast,
            again=config.again, limit=config.limit, seed=seed, ids=ids,
            batch_size=config.batch_size,
        ).saliency
        for seed in config.seeds
    ]  # fmt: skip
    found: dict[str, list[Values]] = {"own": [], "short": [], "path": []}
    with Progress(console=console, transient=True) as bar:
        for at, lam in enumerate(config.lams):
            maps: dict[str, Any] = {"path": [path[at] for path in paths]}
            for name, options in (("own", presets.fast), ("short", short)):
                maps[name] = [
                    each.saliency
                    for each in explain(
                        network.classifier, chosen, targets, config.infill,
                        fixed | options | {"lam": lam}, config, bar, f"{name}, {lam:g}",
                    )
                ]  # fmt: skip
            for name, each in maps.items():
                judged = fixed | {"lam": lam}
                values = measure(network.classifier, chosen, targets, each, judged, config.samples)
                values["like"] = np.mean(list(map(correlations, each, maps["own"])), axis=0)
                found[name].append(values)
    steps = {"own": [whole.steps] * len(config.lams), "short": [config.again] * len(config.lams)}
    steps["path"] = [whole.steps] + [config.again] * (len(config.lams) - 1)
    text = table(found, config.lams, {k: whole.evaluations * np.array(n) for k, n in steps.items()})
    record = {name: [plain(values) for values in rows] for name, rows in found.items()}
    (config.out / "table.json").write_text(json.dumps({"pictures": ids, **record}, indent=1) + "\n")
    (config.out / "table.md").write_text(text + "\n")
    console.print(text, soft_wrap=True, markup=False, highlight=False)
    return found


def table(
    found: dict[str, list[Values]], lams: tuple[float, ...], evaluations: dict[str, np.ndarray]
) -> str:
    """All rows with 95% intervals over pictures, J also against the runs of their own."""
    lines = [
        "| λ | run | evaluations | J | ΔJ to own | on | outside box | seeds | like own |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for at, lam in enumerate(lams):
        for name, rows in found.items():
            values, own = rows[at], found["own"][at]
            against = difference(values["objective"], own["objective"]).text(2, signed=True)
            columns = ("objective", "on", "outside", "correlation", "like")
            j, on, box, seeds, like = (means(values[column][:, None])[0] for column in columns)
            lines.append(
                f"| {lam:g} | {name} | {evaluations[name][at]} | {j.text(2)} "
                f"| {'' if name == 'own' else against} | {on.value:.3f} | {box.value:.3f} "
                f"| {seeds.value:.3f} | {like.value:.3f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
