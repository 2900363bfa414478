"""VDSM's box plots with background infill: Figure 2 (Removal) and Figure 4 (Preservation).

    python -m eval.run vdsm-background --images ../shared/data/mnist_eights.npz \
        --weights ../shared/models/mnist_allconv.npz --out runs/vdsm

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

import infillers
from eval.report import Box, box_plots, markdown_table, progress_bars, terminal_table
from eval.store import Store, digest, write_csv, write_text
from fidojax import explain_batch, image_keys, presets, pretrained
from fidojax.data import BadPicture, pictures
from fidojax.metrics import preservation, removal

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


ROWS = (
    Row(
        "PDA", "pda", removal=Box(27.6, 22.1, 32.6), preservation=Box(4.4, 3.5, 6.2),
        suspect=("Preservation",),
    ),
    Row(
        "DeepLIFT-RevealCancel", "deeplift", removal=Box(27.9, 21.8, 32.6),
        preservation=Box(5.5, 2.1, 11.7), suspect=("Preservation",), rule="reveal_cancel",
    ),
    Row("DeepLIFT-rescale", "deeplift", rule="rescale"),
    Row("BBMP-SSR", "bbmp", "ssr", 0.0, None, Box(12.6, 9.5, 16.8)),
    Row("BBMP-SSR λ .1", "bbmp", "ssr", 0.1, Box(22.7, 18.6, 27.0)),
    Row("BBMP-SDR", "bbmp", "sdr", 0.0, Box(41.6, 35.8, 48.4), Box(0.3, 0.0, 1.2)),
    Row("VDSM-SSR", "fido", "ssr", 0.0, Box(23.4, 18.4, 28.7), Box(12.4, 9.5, 16.8)),
    Row("VDSM-SSR λ 1e-3", "fido", "ssr", 1e-3, Box(24.6, 19.5, 29.2), None, ("Removal",)),
    Row(
        "VDSM-SDR", "fido", "sdr", 0.0, Box(44.5, 36.8, 51.6), Box(2.1, 1.2, 3.3),
        ("Preservation",),
    ),
)  # fmt: skip
METRICS = {"Removal": removal, "Preservation": preservation}


def vdsm_background(
    out: Path,
    images: str = "tfds:mnist/test",
    data_dir: Path | None = None,
    classifier: str = "mnist",
    weights: Path | None = None,
    limit: int = 100,
    steps: int = 600,
    samples: int = 64,
    micro_batch: int = 4,
    seed: int = 0,
) -> None:
    """VDSM Figures 2 and 4: Removal and Preservation of VDSM, BBMP, PDA and DeepLIFT, in black.

    Args:
        out: folder of the results; a stopped run goes on from there.
        images: an .npz file with `images` (n, 28, 28) uint8, or a TFDS set whose eights are taken.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.pretrained.load`.
        weights: a file with other weights for it.
        limit: the first so many eights.
        steps: optimiser steps (VDSM and BBMP: 600).
        samples: masks per step of VDSM (64).
        micro_batch: images per device that VDSM optimises at once.
        seed: seeds the masks.
    """
    console = rich.get_console()
    eights = _eights(images, data_dir, limit)
    model = pretrained.load(classifier, weights)
    store = Store(
        out,
        {
            "protocol": "vdsm-background",
            "images": f"{len(eights)} x {digest(eights)}",
            "classifier": f"{classifier} {digest(model.classifier)}",
            "steps": steps,
            "samples": samples,
            "micro_batch": micro_batch,
            "seed": seed,
        },
    )
    groups = [range(i, min(i + GROUP, len(eights))) for i in range(0, len(eights), GROUP)]
    work = [(row, group) for row in ROWS for group in groups]
    waiting = [(row, group) for row, group in work if not store.has(_part(row, group))]
    console.print(
        f"VDSM Figures 2 and 4: {len(ROWS)} methods on {len(eights)} images, "
        f"{len(waiting)} of {len(work)} parts to run"
    )
    with progress_bars(console) as bars:
        total = bars.add_task("all parts", total=len(waiting))
        for row, group in waiting:
            tell = bars.task(f"{row.name}, images {group[0]}-{group[-1]}", keep=False)
            arrays, seconds = _measure(
                row, model.classifier, eights[group], group, steps, samples, micro_batch, seed, tell
            )
            store.save(_part(row, group), arrays, row=row._asdict(), seconds=round(seconds, 1))
            bars.advance(total)
    rows = _report(store, groups)
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
    classifier: Any,
    eights: np.ndarray,
    ids: range,
    steps: int,
    samples: int,
    micro_batch: int,
    seed: int,
    progress: Any,
) -> tuple[dict[str, np.ndarray], float]:
    """Maps of some images by one method, and both curves of each."""
    began = time.monotonic()
    targets = np.full(len(eights), DIGIT)
    options: dict[str, Any] = {"infill": infillers.mean(0.0)}
    if row.method == "fido":
        options |= presets.vdsm | {"samples": samples}
    else:
        micro_batch = GROUP  # the other methods show few pictures per image at once
    if row.method == "bbmp":
        options |= presets.bbmp_mnist
    if row.rule:
        options["rule"] = row.rule
    if row.objective:
        options |= {"objective": row.objective, "steps": steps, "lam": row.lam}
    explanation = explain_batch(
        row.method,
        classifier,
        eights,
        targets,
        options=options,
        seed=seed,
        ids=ids,
        micro_batch=micro_batch,
        progress=progress,
    )
    arrays = {"saliency": np.asarray(explanation.saliency)}
    if row.objective:
        arrays["objective"] = explanation.info.objective
    keys = image_keys(seed, ids)
    for name in METRICS:
        result = _curves(name, keys, classifier, eights, jnp.asarray(explanation.saliency))
        arrays |= {
            f"{name}/curve": np.asarray(result.curve),
            f"{name}/statistic": np.asarray(result.statistic),
            f"{name}/pixels": np.asarray(result.at),
        }
    return arrays, time.monotonic() - began


@partial(jax.jit, static_argnums=0)
def _curves(name, keys, classifier, images, maps):
    def one(parts):
        key, image, saliency = parts
        return METRICS[name](key, classifier, image, DIGIT, saliency, infill=infillers.mean(0.0))

    return jax.lax.map(one, (keys, images, maps))


def _report(store: Store, groups: list[range]) -> dict[str, list[dict[str, str]]]:
    """Writes tables and figure; returns the rows of each metric's table as text."""
    measured: dict[str, dict[str, np.ndarray]] = {name: {} for name in METRICS}
    published: dict[str, dict[str, Box]] = {name: {} for name in METRICS}
    texts: dict[str, list[dict[str, str]]] = {name: [] for name in METRICS}
    rows, records = [], []
    for row in ROWS:
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
