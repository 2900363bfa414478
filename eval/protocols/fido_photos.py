"""FIDO on real photos: does the class survive on the pixels that the map keeps, and only there?

    python -m eval.run fido-photos ../shared/data/imagenet_samples --out runs/photos \
        --weights ../shared/models/mobilenetv2_imagenet.npz

The numbers behind FIDO's Figures 2 and 4: for each infiller the probability of the class on the
mixture of picture and infill at the map's own keep > 0.5, the same for random and centred masks of
exactly that area, and the smallest area that each needs to give the class half its probability.

A map takes hundreds of classifier gradients, so every map is stored as it is finished, picture by
picture over all infillers in a shuffled order: a stopped run is a balanced sample, and goes on when
started again, also with a larger --limit. Processes with different --infill may fill one --out; a
last run with all of them writes the tables.
"""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import rich

from eval.protocols.photos import classified_right, labelled_photos, needed_share
from eval.report import Box, Triptych, markdown_table, progress_bars, terminal_table, triptychs
from eval.store import Store
from fidojax import explain_batch, image_keys, networks
from fidojax.data import IMAGENET_CROP
from fidojax.engine import Progress
from fidojax.metrics import controls, mixture
from fidojax.presets import PRESETS
from fidojax.runs import digest, environment, write_csv, write_text
from fidojax.transforms.cpu import fast
from fidojax.types import Classifier, Infiller
from infillers import INFILLERS

HEADS = {
    "area": "kept area", "probability": "p on its mixture", "random": "p, random pixels",
    "coarse": "p, random blobs", "center": "p, centred box", "sampled": "p on its samples",
    "sampled_area": "their area", "sampled_random": "p, as many at random",
    "original": "p on the picture",
    "needs": "smallest area for p/2", "needs_random": "that of random pixels",
    "needs_coarse": "that of random blobs", "needs_center": "that of centred boxes",
}  # fmt: skip
"""The numbers of each map, fields of `fidojax.metrics.Mixture`, with their names in tables."""
SHOWN = 12
"""Pictures in a gallery."""


def fido_photos(
    folder: Path,
    /,
    out: Path,
    classifier: str = "keras:MobileNetV2",
    weights: Path | None = None,
    infill: tuple[str, ...] = ("mean", "blur", "random", "local"),
    objective: str = "ssr",
    preset: str = "paper",
    steps: int | None = None,
    samples: int | None = None,
    limit: int = 50,
    crop: float = IMAGENET_CROP,
    seed: int = 0,
) -> None:
    """FIDO Figures 2 and 4 in numbers: the class on the map's own pixels, beside control masks.

    Args:
        folder: pictures whose file names begin with the index of their class.
        out: folder of the results; a stopped run goes on from there.
        classifier: a name for `fidojax.networks.load`.
        weights: a file with weights for it.
        infill: names of infillers.
        objective: ssr or sdr.
        preset: a name in `fidojax.presets.PRESETS`.
        steps: optimiser steps instead of the preset's.
        samples: masks per step instead of the preset's.
        limit: so many pictures that are classified right.
        crop: share of the shorter side that the centre crop keeps.
        seed: seeds the order of the pictures and the masks.
    """
    console = rich.get_console()
    model = networks.load(classifier, weights)
    model = model._replace(classifier=fast(model.classifier))
    given = {"steps": steps, "samples": samples}
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}, expected one of {', '.join(PRESETS)}")
    options = PRESETS[preset] | {k: v for k, v in given.items() if v is not None}
    options["objective"] = objective
    fills = {name: _infiller(name) for name in infill}
    store = Store(
        out,
        {
            "protocol": "fido-photos",
            "folder": folder.resolve().name,
            "classifier": f"{classifier} {digest(model.classifier)}",
            "options": {"preset": preset, **options},
            "crop": crop,
            "seed": seed,
        },
    )
    paths = labelled_photos(folder, seed)
    console.print(
        f"FIDO on up to {limit} pictures of {folder} with {', '.join(fills)} infill; "
        f"finished maps in {out} are kept"
    )
    done: list[str] = []
    with progress_bars(console) as bars:
        total = bars.add_task("all maps", total=limit * len(fills))
        for name, image, label in classified_right(paths, model, store, crop, console):
            for fill, infiller in fills.items():
                part = f"{name}.{fill}"
                if store.has(part):
                    arrays, record = store.load(part)
                else:
                    tell, began = bars.task(part, keep=False), time.monotonic()
                    arrays = _explain(
                        name, image, label, model.classifier, infiller, options, seed, tell
                    )
                    record = {"seconds": round(time.monotonic() - began, 1)}
                if not record.keys() >= HEADS.keys():  # new, or from before a number was added
                    shown, numbers = _look(
                        name, image, label, model.classifier, infiller, arrays["saliency"],
                        objective, seed,
                    )  # fmt: skip
                    seconds = record["seconds"]
                    store.save(part, arrays | {"mixture": shown}, **numbers, seconds=seconds)
                    console.print(_line(part, numbers), markup=False, soft_wrap=True)
                bars.advance(total)
            done.append(name)
            _tables(store, done, list(fills))
            if len(done) == limit:
                break
    if not done:
        raise ValueError(f"{classifier} classifies no picture of {folder} as its file name says")
    for fill in fills:
        _gallery(store, done[:SHOWN], fill, model.labels)
    console.print(terminal_table(_tables(store, done, list(fills)), "Medians"))
    console.print(f"Results in {out}")


def _infiller(name: str) -> Infiller:
    if name not in INFILLERS:
        raise ValueError(f"infill is {name!r}, expected some of {', '.join(INFILLERS)}")
    return INFILLERS[name]()


def _explain(
    name: str,
    image: np.ndarray,
    label: int,
    classifier: Classifier,
    infiller: Infiller,
    options: dict[str, Any],
    seed: int,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """One map, and how its optimisation went."""
    explanation = explain_batch(
        "fido", classifier, image[None], [label], options=options | {"infill": infiller},
        seed=seed, ids=[name], batch_size=1, devices=jax.local_devices()[:1], progress=progress,
    )  # fmt: skip
    info = explanation.info
    arrays = {"saliency": explanation.saliency, "keep": info.keep, "objective": info.objective}
    return {key: np.asarray(value[0]) for key, value in arrays.items()}


def _look(
    name: str,
    image: np.ndarray,
    label: int,
    classifier: Classifier,
    infiller: Infiller,
    saliency: np.ndarray,
    objective: str,
    seed: int,
) -> tuple[np.ndarray, dict[str, float]]:
    """What the classifier sees of a map: the mixture, and the numbers."""
    # Another key than the method's own, so that a random infill is drawn afresh.
    (key,) = image_keys(seed + 1, [name])
    seen = _mixture(objective, key, classifier, image, label, saliency, infiller)
    own = saliency if objective == "ssr" else 1 - saliency
    first, second = jax.random.split(key)
    pixels, blobs, center = controls((first, second), image.shape[:2])
    orders = {"needs": own, "needs_random": pixels, "needs_coarse": blobs, "needs_center": center}
    numbers: dict[str, Any] = {
        column: needed_share(key, classifier, image, label, order, infiller)
        for column, order in orders.items()
    }
    numbers |= {column: getattr(seen, column) for column in HEADS if hasattr(seen, column)}
    return np.asarray(seen.image), {column: float(numbers[column]) for column in HEADS}


@partial(jax.jit, static_argnums=0)
def _mixture(objective, key, classifier, image, target, saliency, infill):
    return mixture(key, classifier, image, target, saliency, infill=infill, objective=objective)


def _line(part: str, numbers: dict[str, float]) -> str:
    return f"{part}: " + ", ".join(f"{column} {numbers[column]:.3f}" for column in HEADS)


def _tables(store: Store, names: list[str], fills: list[str]) -> list[dict[str, str]]:
    """Writes the numbers of the finished pictures; returns the medians as text."""
    rows = []
    for name in names:
        for fill in fills:
            numbers = store.record(f"{name}.{fill}")
            numbers = {key: numbers[key] for key in (*HEADS, "seconds")}
            rows.append({"picture": name, "infill": fill, **numbers})
    write_csv(store.out / "table.csv", rows)
    boxes = {
        fill: {
            column: Box.of(np.array([row[column] for row in rows if row["infill"] == fill]))
            for column in HEADS
        }
        for fill in fills
    }
    results = {
        "settings": store.settings,
        "environment": environment(),
        "pictures": len(names),
        "boxes": {
            fill: {column: box._asdict() for column, box in own.items()}
            for fill, own in boxes.items()
        },
    }
    write_text(store.out / "results.json", json.dumps(results, indent=2) + "\n")

    def text(show: Callable[[Box], str]) -> list[dict[str, str]]:
        return [
            {f"{len(names)} pictures": head} | {fill: show(boxes[fill][column]) for fill in fills}
            for column, head in HEADS.items()
        ]

    write_text(store.out / "table.md", markdown_table(text(lambda box: box.text(3))))
    return text(lambda box: f"{box.median:.3f}")


def _gallery(store: Store, names: list[str], fill: str, labels: Sequence[str]) -> None:
    """Picture, map and mixture of the first pictures, in gallery_FILL.png."""
    rows = []
    for name in names:
        picture, record = store.load(name)
        arrays, numbers = store.load(f"{name}.{fill}")
        rows.append(
            Triptych(
                picture["image"],
                arrays["saliency"],
                arrays["mixture"],
                (
                    f"{labels[record['label']]} {numbers['original']:.2f}",
                    f"{fill} infill",
                    f"{100 * numbers['area']:.0f}% kept: {numbers['probability']:.2f}",
                ),
            )
        )
    triptychs(store.out / f"gallery_{fill}.png", rows)
