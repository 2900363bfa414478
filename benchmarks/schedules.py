"""How few classifier evaluations does a FIDO map need? Schedules side by side.

    python -m benchmarks.schedules --out DIR --data-dir D
    python -m benchmarks.schedules --out DIR --data-dir D --part tune --count 24
    python -m benchmarks.schedules --out DIR --network keras:MobileNetV2 --weights W \\
        --pictures PHOTOS --count 12 --micro-batch 4

D holds the TFDS data sets, W the network's weights, PHOTOS pictures. Every finished group of maps
is kept in DIR: a run that was stopped goes on where it was, and one more schedule costs its own
maps only. The tables, and how the preset `fast` was found, are in docs/schedules.md.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float
from rich.console import Console
from rich.progress import Progress

from eval.boxes import outside
from fidojax import presets, pretrained
from fidojax.data import IMAGENET_CROP, Picture, pictures
from fidojax.masks import total_variation
from fidojax.methods.fido import fido_loop
from fidojax.metrics.mixture import mixture
from fidojax.metrics.objective import expected_objective
from fidojax.run import explain_batch
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Target
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
class Config:
    """Explain the same pictures under every schedule, with two seeds, and print one table."""

    out: Path
    """Folder for the maps and for table.json."""
    network: str = "tiny_imagenet40"
    """What `fidojax.pretrained.load` takes."""
    weights: Path | None = None
    """A weights file instead of the shipped one."""
    pictures: tuple[str, ...] = ("tfds:tiny_imagenet40/validation",)
    """Picture files, folders or TFDS sets."""
    data_dir: Path | None = None
    """Folder of TFDS data sets; TFDS's own default if not given."""
    part: Literal["tune", "report"] = "report"
    """Which half of the pictures to take from: tune on the one, report the other."""
    count: int = 48
    """How many: the first of the part that are classified correctly, where labels are known."""
    schedules: tuple[str, ...] = tuple(SCHEDULES)
    """Names in SCHEDULES, or "own"; differences are taken to the first."""
    options: dict[str, int | float | str] = dataclasses.field(default_factory=dict)
    """The schedule "own": `--schedules paper own --options steps 80 samples 3 average 0.4`."""
    infills: tuple[str, ...] = ("mean", "blur")
    objectives: tuple[Literal["ssr", "sdr"], ...] = ("ssr",)
    seeds: tuple[int, int] = (0, 1)
    samples: int = 64
    """Masks that the expected objective is measured with."""
    micro_batch: int = 8


class Row(NamedTuple):
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
    network = pretrained.load(config.network, config.weights)
    chosen, targets = choose(config, network)
    known = SCHEDULES | {"own": dict(config.options)}
    cases = [(m, i, s) for m in config.objectives for i in config.infills for s in config.schedules]
    console.print(f"{len(chosen)} pictures, {len(cases)} rows, two maps each")
    (config.out / "maps").mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    base = np.zeros(len(chosen))
    with Progress(console=console, transient=True) as bar:
        for mode, infill, schedule in cases:
            options: dict[str, Any] = {"objective": mode, "infill": INFILLERS[infill]()}
            options |= known[schedule]
            loop = fido_loop(**options)
            maps = []
            for seed in config.seeds:
                task = bar.add_task(f"{schedule}, {infill}, {mode}, seed {seed}")
                tell = partial(_tell, bar, task)
                maps.append(
                    explain(
                        network.classifier, chosen, targets, infill, options, config, seed, tell
                    )
                )
                bar.remove_task(task)
            values = measure(network.classifier, chosen, targets, maps, options, config.samples)
            if schedule == config.schedules[0]:
                base = values["objective"]
            difference = values["objective"] - base
            means: dict[str, Any] = {name: _mean(value) for name, value in values.items()}
            rows.append(
                Row(
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


def _tell(bar: Progress, task: Any, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _mean(values: Float[np.ndarray, " n"]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def choose(config: Config, network: pretrained.Pretrained) -> tuple[list[Picture], list[int]]:
    """The pictures and the classes to explain, which are the predicted ones."""
    crop = IMAGENET_CROP if config.network.startswith("keras:") else 1.0
    items = list(pictures(config.pictures, network.size, config.data_dir, crop=crop))
    found = [item for item in items if isinstance(item, Picture)]
    if not found:
        raise ValueError(f"pictures: none can be used ({'; '.join(map(str, items))})")
    # Every other one, since folders may be sorted by class and halves would differ in theirs.
    part = found[("tune", "report").index(config.part) :: 2]
    chosen, targets = [], []
    for picture in part:
        predicted = int(_classify(network.classifier, picture.image))
        if picture.label is None or picture.label == predicted:
            chosen.append(picture)
            targets.append(predicted)
        if len(chosen) == config.count:
            break
    return chosen, targets


@jax.jit
def _classify(classifier: Classifier, image: Image) -> Array:
    return jnp.argmax(classifier(image[None])[0])


def explain(
    classifier: Classifier,
    chosen: Sequence[Picture],
    targets: Sequence[int],
    infill: str,
    options: Mapping[str, Any],
    config: Config,
    seed: int,
    progress: Callable[[int, int], None],
) -> Float[np.ndarray, "n h w"]:
    """The maps of one schedule and seed, computed group by group and kept in `out/maps`."""
    weights = hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(classifier)))
    parts = []
    for start in range(0, len(chosen), config.micro_batch):
        rows = slice(start, start + config.micro_batch)
        ids = [picture.id for picture in chosen[rows]]
        # The infiller by its name: its repr holds an address, which differs in every process.
        named = {**options, "infill": infill}
        settings = {name: repr(value) for name, value in sorted(named.items())}
        key = json.dumps([weights.hexdigest(), settings, seed, config.micro_batch, ids])
        path = config.out / "maps" / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.npy"
        if not path.exists():
            images = np.stack([picture.image for picture in chosen[rows]])
            maps = explain_batch(
                "fido", classifier, images, targets[rows], options=options, seed=seed, ids=ids,
                micro_batch=config.micro_batch, progress=progress,
            ).saliency  # fmt: skip
            partial = path.with_suffix(".part.npy")
            np.save(partial, maps)
            partial.replace(path)  # so that a file under its name is whole
        parts.append(np.load(path))
    return np.concatenate(parts)


def measure(
    classifier: Classifier,
    chosen: Sequence[Picture],
    targets: Sequence[int],
    maps: Sequence[Float[np.ndarray, "n h w"]],
    options: Mapping[str, Any],
    samples: int,
) -> dict[str, Float[np.ndarray, " n"]]:
    """The columns of a row by name, one value per picture: means over the maps of all seeds."""
    judged = [
        _judge(
            # The same masks' noise for every schedule.
            jax.random.key(row), classifier, picture.image, target, saliency[row],
            infill=options["infill"], objective=options["objective"], samples=samples,
        )
        for saliency in maps
        for row, (picture, target) in enumerate(zip(chosen, targets, strict=True))
    ]  # fmt: skip
    names = ("objective", "tv", "probability")
    columns = np.asarray(judged).reshape(len(maps), len(chosen), len(names)).mean(0)
    on = [saliency > 0.5 for saliency in maps]
    values: dict[str, Any] = dict(zip(names, columns.T, strict=True))
    values["on"] = np.mean([each.mean((1, 2)) for each in on], axis=0)
    values["outside"] = np.array(
        [np.mean([outside(each[row], picture.boxes) for each in on])
         for row, picture in enumerate(chosen)]
    )  # fmt: skip
    values["correlation"] = np.array(
        [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(maps[0], maps[1], strict=True)]
    )
    return values


@partial(jax.jit, static_argnames=("objective", "samples"))
def _judge(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    objective: str,
    samples: int,
) -> tuple[Array, Array, Array]:
    options = {"infill": infill, "objective": objective}
    args = (key, classifier, image, target, saliency)
    keep = saliency if objective == "ssr" else 1 - saliency
    return (
        expected_objective(*args, **options, samples=samples).objective,
        total_variation(keep),
        mixture(*args, **options).probability,
    )


def markdown(rows: Sequence[Row]) -> str:
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
