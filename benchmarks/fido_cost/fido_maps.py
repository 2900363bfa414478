"""Maps of FIDO on pictures, kept on disk, and what they are worth, for benchmarks.

Two seeds for each map: what they agree on is its stability.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from rich.progress import Progress

from eval.judging import outside
from fidojax import networks
from fidojax.core import total_variation
from fidojax.data import IMAGENET_CROP, Picture, pictures
from fidojax.engine import Stop, explain_batch
from fidojax.metrics import expected_objective, mixture
from fidojax.runs import digest, write_atomically
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Target


@dataclasses.dataclass(frozen=True)
class Config:
    """Which maps are compared."""

    out: Path
    """Folder for the maps and for table.json."""
    network: str = "tiny_imagenet40"
    """What `fidojax.networks.load` takes."""
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
    seeds: tuple[int, int] = (0, 1)
    samples: int = 64
    """Masks that the expected objective is measured with."""
    batch_size: int = 8


class Maps(NamedTuple):
    """What one seed finds.

    Attributes:
        saliency: "n h w".
        steps: "n", how many were done; fewer than the schedule has where `stop` ended it.
    """

    saliency: Float[np.ndarray, "n h w"]
    steps: Float[np.ndarray, " n"]


def known_mean(values: Float[np.ndarray, " n"]) -> float | None:
    """The mean of what is not NaN, if anything is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def choose(config: Config, network: networks.Pretrained) -> tuple[list[Picture], list[int]]:
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
    bar: Progress,
    title: str,
    start: Float[np.ndarray, "n rows columns"] | None = None,
    stop: Stop | None = None,
) -> list[Maps]:
    """The maps of each seed, computed group by group and kept in `out/maps`.

    Args:
        start: FIDO's option of that name, one for each picture.
        stop: as `fidojax.explain_batch` takes it.
    """
    (config.out / "maps").mkdir(parents=True, exist_ok=True)
    maps = []
    for seed in config.seeds:
        task = bar.add_task(f"{title}, seed {seed}")
        parts = []
        for first in range(0, len(chosen), config.batch_size):
            rows = slice(first, first + config.batch_size)
            ids = [picture.id for picture in chosen[rows]]
            # The infiller by its name: its repr holds an address, which differs in every process.
            named = {**options, "infill": infill}
            settings: dict[str, Any] = {name: repr(value) for name, value in sorted(named.items())}
            each = {} if start is None else {"start": start[rows]}
            settings |= {name: digest(value) for name, value in each.items()}
            settings |= {} if stop is None else {"stop": repr(stop)}
            key = json.dumps([digest(classifier), settings, seed, config.batch_size, ids])
            path = config.out / "maps" / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.npz"
            if not path.exists():
                found = explain_batch(
                    "fido", classifier, np.stack([picture.image for picture in chosen[rows]]),
                    targets[rows], options=options, each=each, seed=seed, ids=ids,
                    batch_size=config.batch_size, stop=stop, progress=partial(_tell, bar, task),
                )  # fmt: skip
                steps = np.isfinite(found.info.objective).sum(axis=1)
                arrays: Any = {"saliency": found.saliency, "steps": steps}
                write_atomically(path, partial(np.savez, **arrays))
            with np.load(path) as file:
                parts.append(Maps(file["saliency"], file["steps"]))
        maps.append(Maps(*map(np.concatenate, zip(*parts, strict=True))))
        bar.remove_task(task)
    return maps


def _tell(bar: Progress, task: Any, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


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
            infill=options["infill"], objective=options["objective"], lam=options.get("lam", 1e-3),
            samples=samples,
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
    values["correlation"] = correlations(maps[0], maps[1])
    return values


def correlations(
    maps: Float[np.ndarray, "n h w"], others: Float[np.ndarray, "n h w"]
) -> Float[np.ndarray, " n"]:
    """Pearson's of each pair; NaN where one of them is constant."""

    def one(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1] if np.ptp(a) and np.ptp(b) else np.nan

    return np.array([one(a, b) for a, b in zip(maps, others, strict=True)])


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
    lam: float,
    samples: int,
) -> tuple[Array, Array, Array]:
    options = {"infill": infill, "objective": objective}
    args = (key, classifier, image, target, saliency)
    keep = saliency if objective == "ssr" else 1 - saliency
    return (
        expected_objective(*args, **options, lam=lam, samples=samples).objective,
        total_variation(keep),
        mixture(*args, **options).probability,
    )
