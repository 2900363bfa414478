"""VDSM's experiment on MNIST: maps of the same eights by several methods, judged by Removal and
Preservation under one infiller; what its two protocols share.

Settings are those of the authors' code (run.sh). The published numbers were read off the box plots
in their notebooks, to within 0.3; cells that cannot be from this experiment are marked suspect.
"""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rich

from eval.report import Box, box_plots, markdown_table, progress_bars, terminal_table
from eval.store import Store
from fidojax import explain_batch, image_keys, networks, presets
from fidojax.data import BadPicture, pictures
from fidojax.metrics import preservation, removal
from fidojax.runs import digest, write_csv, write_text
from fidojax.types import Classifier, Infiller

DIGIT = 8
GROUP = 20
"""Images that are stored together: what a kill can lose of one method."""


class Row(NamedTuple):
    """A method of the figures: its settings, and what the authors' plots show for it.

    A method that optimises nothing has no objective and no λ; `rule` is DeepLIFT's.
    """

    name: str
    method: str
    objective: str = ""
    lam: float = 0.0
    removal: Box | None = None
    preservation: Box | None = None
    suspect: tuple[str, ...] = ()
    rule: str = ""


METRICS = {"Removal": removal, "Preservation": preservation}


class Experiment(NamedTuple):
    """A figure: who takes part, and what stands where pixels were dropped."""

    name: str
    title: str
    rows: tuple[Row, ...]
    infill: Infiller


class Settings(NamedTuple):
    """What both protocols let their user choose; their docstrings say what it means."""

    images: str
    data_dir: Path | None
    classifier: str
    weights: Path | None
    limit: int
    steps: int
    samples: int
    batch_size: int
    seed: int


def run(out: Path, experiment: Experiment, settings: Settings) -> None:
    """Explains and measures what is missing in `out`, then prints and writes the tables."""
    console = rich.get_console()
    eights = _eights(settings.images, settings.data_dir, settings.limit)
    model = networks.load(settings.classifier, settings.weights)
    store = Store(
        out,
        {
            "protocol": experiment.name,
            "images": f"{len(eights)} x {digest(eights)}",
            "classifier": f"{settings.classifier} {digest(model.classifier)}",
            "infill": digest(experiment.infill),
            "steps": settings.steps,
            "samples": settings.samples,
            "batch_size": settings.batch_size,
            "seed": settings.seed,
        },
    )
    groups = [range(i, min(i + GROUP, len(eights))) for i in range(0, len(eights), GROUP)]
    work = [(row, group) for row in experiment.rows for group in groups]
    waiting = [(row, group) for row, group in work if not store.has(_part(row, group))]
    console.print(
        f"{experiment.title}: {len(experiment.rows)} methods on {len(eights)} images, "
        f"{len(waiting)} of {len(work)} parts to run"
    )
    with progress_bars(console) as bars:
        total = bars.add_task("all parts", total=len(waiting))
        for row, group in waiting:
            tell = bars.task(f"{row.name}, images {group[0]}-{group[-1]}", keep=False)
            arrays, seconds = _measure(
                row, model.classifier, experiment.infill, eights[group], group, settings, tell
            )
            store.save(_part(row, group), arrays, row=row._asdict(), seconds=round(seconds, 1))
            bars.advance(total)
    rows = _report(store, experiment.rows, groups)
    for name, lines in rows.items():
        console.print(terminal_table(lines, f"{name}: change in log-odds"))
    console.print(f"Results in {out}")


def _eights(images: str, data_dir: Path | None, limit: int) -> np.ndarray:
    """ "n 28 28 1" float32 in [0, 1]."""
    if images.endswith(".npz"):
        with np.load(images, allow_pickle=False) as file:
            if "images" not in file or file["images"].dtype != np.uint8:
                raise ValueError(f"{images} has no uint8 array `images`")
            found = file["images"][:limit].reshape(-1, 28, 28, 1).astype(np.float32) / 255
    else:
        kept = []
        for picture in pictures([images], (28, 28, 1), data_dir):
            if isinstance(picture, BadPicture):
                raise ValueError(str(picture))
            if picture.label == DIGIT:
                kept.append(picture.image)
            if len(kept) == limit:
                break
        found = np.array(kept, np.float32)
    if not len(found):
        raise ValueError(f"{images} has no eights")
    return found


def _measure(
    row: Row,
    classifier: Classifier,
    infill: Infiller,
    eights: np.ndarray,
    ids: range,
    settings: Settings,
    progress: Any,
) -> tuple[dict[str, np.ndarray], float]:
    """Maps of some images by one method, and both curves of each."""
    began = time.monotonic()
    targets = np.full(len(eights), DIGIT)
    batch_size = settings.batch_size
    options: dict[str, Any] = {"infill": infill}
    if row.method == "fido":
        options |= presets.vdsm | {"samples": settings.samples}
    else:
        batch_size = GROUP  # the other methods show few pictures per image at once
    if row.method == "bbmp":
        options |= presets.bbmp_mnist
    if row.rule:
        options["rule"] = row.rule
    if row.objective:
        options |= {"objective": row.objective, "steps": settings.steps, "lam": row.lam}
    explanation = explain_batch(
        row.method,
        classifier,
        eights,
        targets,
        options=options,
        seed=settings.seed,
        ids=ids,
        batch_size=batch_size,
        progress=progress,
    )
    arrays = {"saliency": np.asarray(explanation.saliency)}
    if row.objective:
        arrays["objective"] = explanation.info.objective
    keys = image_keys(settings.seed, ids)
    for name in METRICS:
        result = _curves(name, keys, classifier, infill, eights, jnp.asarray(explanation.saliency))
        arrays |= {
            f"{name}/curve": np.asarray(result.curve),
            f"{name}/statistic": np.asarray(result.statistic),
            f"{name}/pixels": np.asarray(result.at),
        }
    return arrays, time.monotonic() - began


@partial(jax.jit, static_argnums=0)
def _curves(name, keys, classifier, infill, images, maps):
    def one(parts):
        key, image, saliency = parts
        return METRICS[name](key, classifier, image, DIGIT, saliency, infill=infill)

    return jax.lax.map(one, (keys, images, maps))


def _report(
    store: Store, experiment: tuple[Row, ...], groups: list[range]
) -> dict[str, list[dict[str, str]]]:
    """Writes tables and figure; returns the rows of each metric's table as text."""
    measured: dict[str, dict[str, np.ndarray]] = {name: {} for name in METRICS}
    published: dict[str, dict[str, Box]] = {name: {} for name in METRICS}
    texts: dict[str, list[dict[str, str]]] = {name: [] for name in METRICS}
    rows, records = [], []
    for row in experiment:
        parts = [store.load(_part(row, group)) for group in groups]
        arrays = {key: np.concatenate([part[key] for part, _ in parts]) for key in parts[0][0]}
        records.extend(record for _, record in parts)
        for name in METRICS:
            values = arrays[f"{name}/statistic"]
            measured[name][row.name] = values
            box, theirs = Box.of(values), getattr(row, name.lower())
            suspect = name in row.suspect
            line = {"method": row.name, "fidojax": box.text(), "authors": "", "difference": ""}
            if theirs:
                published[name][row.name] = theirs
                line["authors"] = theirs.text() + (" suspect" if suspect else "")
                line["difference"] = f"{box.median - theirs.median:+.1f}"
            texts[name].append(line)
            rows.append({
                "metric": name, "method": row.name, "lam": row.lam,
                **{key: round(value, 4) for key, value in box._asdict().items()},
                **{f"authors_{key}": getattr(theirs, key, "") for key in Box._fields},
                "suspect": suspect, "seconds": round(sum(r["seconds"] for _, r in parts), 1),
            })  # fmt: skip
    write_csv(store.out / "table.csv", rows)
    tables = "\n".join(f"{name}\n\n{markdown_table(lines)}" for name, lines in texts.items())
    write_text(store.out / "table.md", tables)
    results = {"settings": store.settings, "rows": rows, "records": records}
    write_text(store.out / "results.json", json.dumps(results, indent=2) + "\n")
    box_plots(store.out / "figure.png", measured, published, "Change in log-odds")
    return texts


def _part(row: Row, group: range) -> str:
    name = row.name.lower().replace(" λ ", "_lam")
    return f"{name}.{group[0]:05d}-{group[-1]:05d}"
