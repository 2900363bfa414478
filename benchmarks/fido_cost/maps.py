"""FIDO's maps of the same pictures by several schedules, stored on disk, and their measures.

Every map is computed with two seeds, whose agreement is its stability.
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
from rich.console import Console
from rich.progress import Progress

from eval.judging import outside
from fidojax import networks
from fidojax.core import total_variation
from fidojax.data import IMAGENET_CROP, Picture, pictures, write_atomically, write_text
from fidojax.engine import Stop, explain_batch
from fidojax.metrics import expected_objective, mixture
from fidojax.runs import digest
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Target
from infillers import make_infill


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings that all benchmarks of this package have."""

    out: Path
    """Folder for the maps and the tables."""
    network: str = "tiny_imagenet40"
    """The network, as `fidojax.networks.load` takes it."""
    weights: Path | None = None
    """A weights file instead of the shipped one."""
    pictures: tuple[str, ...] = ("tfds:tiny_imagenet40/validation",)
    """Picture files, folders or TFDS sets."""
    data_dir: Path | None = None
    """Folder of TFDS data sets; TFDS's own default if not given."""
    part: Literal["tune", "report"] = "report"
    """The half of the pictures: settings are tuned on one and reported on the other."""
    count: int = 48
    """Number of pictures: the first ones of the half whose class, if known, is predicted."""
    seeds: tuple[int, int] = (0, 1)
    samples: int = 64
    """Number of masks with which the expected objective is measured."""
    batch_size: int = 8


class Maps(NamedTuple):
    """The maps of one seed.

    Attributes:
        saliency: "n h w".
        steps: "n", the number of steps done, which `stop` may shorten.
    """

    saliency: Float[np.ndarray, "n h w"]
    steps: Float[np.ndarray, " n"]


class Subjects(NamedTuple):
    """The network, its pictures, and the classes to explain, which are the predicted ones."""

    network: networks.Pretrained
    pictures: list[Picture]
    targets: list[int]

    @property
    def ids(self) -> list[str]:
        """The names of the pictures."""
        return [picture.id for picture in self.pictures]


def choose(config: Config) -> Subjects:
    """Load the network and choose its pictures.

    Raises:
        ValueError: no picture can be used.
    """
    network = networks.load(config.network, config.weights)
    crop = IMAGENET_CROP if config.network.startswith("keras:") else 1.0
    items = list(pictures(config.pictures, network.size, config.data_dir, crop=crop))
    found = [item for item in items if isinstance(item, Picture)]
    if not found:
        raise ValueError(f"pictures: none can be used ({'; '.join(map(str, items))})")
    # Every other one, since folders may be sorted by class, in which the halves should not differ.
    part = found[("tune", "report").index(config.part) :: 2]
    chosen, targets = [], []
    for picture in part:
        predicted = int(_classify(network.classifier, picture.image))
        if picture.label is None or picture.label == predicted:
            chosen.append(picture)
            targets.append(predicted)
        if len(chosen) == config.count:
            break
    return Subjects(network, chosen, targets)


@jax.jit
def _classify(classifier: Classifier, image: Image) -> Array:
    return jnp.argmax(classifier(image[None])[0])


def resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the name of the infiller in FIDO's options by the infiller."""
    return {**options, "infill": make_infill(options["infill"], "infill")}


def explain(
    config: Config,
    subjects: Subjects,
    options: Mapping[str, Any],
    title: str,
    *,
    start: Float[np.ndarray, "n rows columns"] | None = None,
    stop: Stop | None = None,
) -> list[Maps]:
    """Return the maps of each seed, computed in groups that are stored in `out/maps`.

    Args:
        options: FIDO's, with the infiller's name.
        title: text of the progress bar.
        start: FIDO's option of that name, one for each picture.
        stop: as `fidojax.explain_batch` takes it.
    """
    (config.out / "maps").mkdir(parents=True, exist_ok=True)
    starts = range(0, len(subjects.pictures), config.batch_size)
    parts = []
    with Progress(transient=True) as bar:
        task = bar.add_task(title, total=len(config.seeds) * len(subjects.pictures))
        for seed in config.seeds:
            for rows in (slice(first, first + config.batch_size) for first in starts):
                each = {} if start is None else {"start": start[rows]}
                part = Subjects(*subjects[:1], subjects.pictures[rows], subjects.targets[rows])
                parts.append(_stored(config, part, options, each, seed, stop))
                bar.advance(task, len(part.pictures))
    groups = (parts[i : i + len(starts)] for i in range(0, len(parts), len(starts)))
    return [Maps(*map(np.concatenate, zip(*group, strict=True))) for group in groups]


def _stored(
    config: Config,
    part: Subjects,
    options: Mapping[str, Any],
    each: Mapping[str, np.ndarray],
    seed: int,
    stop: Stop | None,
) -> Maps:
    """Return the maps of one group, computed if the file of these settings does not exist."""
    classifier = part.network.classifier
    settings: dict[str, Any] = {name: repr(value) for name, value in sorted(options.items())}
    settings |= {name: digest(value) for name, value in each.items()}
    settings |= {} if stop is None else {"stop": repr(stop)}
    key = json.dumps([digest(classifier), settings, seed, config.batch_size, part.ids])
    path = config.out / "maps" / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.npz"
    if not path.exists():
        found = explain_batch(
            "fido",
            classifier,
            np.stack([picture.image for picture in part.pictures]),
            part.targets,
            options=resolved(options),
            each=each,
            seed=seed,
            ids=part.ids,
            batch_size=config.batch_size,
            stop=stop,
        )
        steps = np.isfinite(found.info.objective).sum(axis=1)
        arrays: Any = {"saliency": found.saliency, "steps": steps}
        write_atomically(path, partial(np.savez, **arrays))
    with np.load(path) as file:
        return Maps(file["saliency"], file["steps"])


def measure(
    config: Config,
    subjects: Subjects,
    options: Mapping[str, Any],
    maps: Sequence[Float[np.ndarray, "n h w"]],
) -> dict[str, Float[np.ndarray, " n"]]:
    """Return one value per picture by measure, means over the maps of all seeds.

    Args:
        options: FIDO's `infill`, by name, `objective` and `lam`.
        maps: those of each seed.
    """
    given = {"lam": 1e-3, **resolved(options)}
    judged_by = {name: given[name] for name in ("infill", "objective", "lam")}
    pairs = list(zip(subjects.pictures, subjects.targets, strict=True))
    judged = [
        _judge(
            jax.random.key(row),  # the noise of the masks is the same for every schedule
            subjects.network.classifier,
            picture.image,
            target,
            saliency[row],
            samples=config.samples,
            **judged_by,
        )
        for saliency in maps
        for row, (picture, target) in enumerate(pairs)
    ]
    columns = np.asarray(judged).reshape(len(maps), len(pairs), 3).mean(0)
    values: dict[str, Any] = dict(zip(("objective", "tv", "probability"), columns.T, strict=True))
    on = [saliency > 0.5 for saliency in maps]
    values["on"] = np.mean([each.mean((1, 2)) for each in on], axis=0)
    values["outside"] = np.array(
        [
            np.mean([outside(each[row], picture.boxes) for each in on])
            for row, picture in enumerate(subjects.pictures)
        ]
    )
    values["correlation"] = correlations(maps[0], maps[1])
    return values


def correlations(
    maps: Float[np.ndarray, "n h w"], others: Float[np.ndarray, "n h w"]
) -> Float[np.ndarray, " n"]:
    """Return Pearson's correlation of each pair, NaN where a map is constant."""

    def one(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1] if np.ptp(a) and np.ptp(b) else np.nan

    return np.array([one(a, b) for a, b in zip(maps, others, strict=True)])


def plain(values: Mapping[str, np.ndarray]) -> dict[str, list[float | None]]:
    """Convert the values to lists for JSON, which has no NaN."""
    return {
        name: [None if np.isnan(x) else float(x) for x in column] for name, column in values.items()
    }


def write(config: Config, subjects: Subjects, record: Mapping[str, Any], text: str) -> None:
    """Write table.json and table.md into `out`, and print the table."""
    settings = {**dataclasses.asdict(config), "out": None, "data_dir": None}
    whole = {"pictures": subjects.ids, "settings": settings, **record}
    write_text(config.out / "table.json", json.dumps(whole, indent=1, default=str) + "\n")
    write_text(config.out / "table.md", text.rstrip() + "\n")
    Console().print(text, soft_wrap=True, markup=False, highlight=False)


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
