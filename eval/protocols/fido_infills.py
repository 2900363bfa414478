"""One picture under every infiller: FIDO's Figure 7, with the numbers of its Figures 4 and 8.

    python -m eval.run fido-infills --data-dir DATA --out runs/infills

The same pictures, classes and seeds for all infillers. The mixture is judged with the infiller that
the map was made with; where the pictures have boxes, so is where the map lies.

Maps are stored group by group: a stopped run goes on when started again.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import rich

from eval.intervals import interval
from eval.judging import outside
from eval.report import Panel, markdown_table, panels, progress_bars, terminal_table
from eval.store import Store
from eval.subject import draw
from fidojax import explain_batch, image_keys, networks
from fidojax.core import check_name
from fidojax.metrics import mixture
from fidojax.presets import PRESETS
from fidojax.runs import digest, write_csv, write_text
from fidojax.transforms.cpu import fast
from infillers import INFILLERS

NUMBERS = {
    "area": "kept area",
    "probability": "p on its mixture",
    "sampled": "p on its samples",
    "sampled_area": "their area",
    "outside": "outside the box",
}
ACROSS = 12
"""Pictures side by side in a figure."""


def fido_infills(
    out: Path,
    images: str = "tfds:tiny_imagenet40/validation",
    data_dir: Path | None = None,
    classifier: str = "tiny_imagenet40",
    weights: Path | None = None,
    infill: tuple[str, ...] = ("mean", "blur", "random", "local", "vae", "ca"),
    objective: str = "ssr",
    preset: str = "paper",
    limit: int = 24,
    group: int = 8,
    seed: int = 0,
) -> None:
    """FIDO Figure 7: maps of the same pictures under every infiller.

    Args:
        out: folder of the results; a stopped run goes on from there.
        images: a labelled set, as `fidojax.data.pictures` takes it.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.networks.load`.
        weights: a file with other weights for it.
        infill: names of infillers.
        objective: ssr or sdr.
        preset: a name in `fidojax.presets.PRESETS`.
        limit: so many pictures that are classified right, drawn at random.
        group: pictures that are explained at once.
        seed: seeds the choice of the pictures, the masks and the infillers.
    """
    console = rich.get_console()
    check_name("preset", preset, PRESETS)
    for name in infill:
        check_name("infill", name, INFILLERS)
    model = networks.load(classifier, weights)
    model = model._replace(classifier=fast(model.classifier))
    drawn = draw(images, model, data_dir, limit, seed, console, right=True)
    ids, shown, labels = drawn.ids, drawn.images, drawn.labels
    options = PRESETS[preset] | {"objective": objective}
    store = Store(
        out,
        {
            "protocol": "fido-infills",
            "images": images,
            "pictures": f"{len(ids)} x {digest(shown)}",
            "classifier": f"{classifier} {digest(model.classifier)}",
            "options": options,
            "group": group,
            "seed": seed,
        },
    )
    console.print(f"FIDO on {len(ids)} pictures with {', '.join(infill)} infill")
    fills = {name: INFILLERS[name]() for name in infill}
    found: dict[str, dict[str, np.ndarray]] = {}
    with progress_bars(console) as bars:
        for name, infiller in fills.items():
            parts = []
            for first in range(0, len(ids), group):
                rows = slice(first, first + group)
                part = f"{name}-{digest(infiller)}.{first:05d}"
                if not store.has(part):
                    explanation = explain_batch(
                        "fido", model.classifier, shown[rows], labels[rows],
                        options=options | {"infill": infiller}, seed=seed, ids=ids[rows],
                        batch_size=group, progress=bars.task(f"{name}, {first}", keep=False),
                    )  # fmt: skip
                    maps = np.asarray(explanation.saliency)
                    # Another key than the method's own, so that a random infill is drawn afresh.
                    keys = image_keys(seed + 1, ids[rows])
                    seen = _seen(
                        objective, keys, model.classifier, shown[rows], labels[rows], maps, infiller
                    )
                    columns = {n: getattr(seen, n) for n in (*NUMBERS, "image") if n != "outside"}
                    store.save(part, {"saliency": maps} | jax.device_get(columns))
                parts.append(part)
            found[name] = store.joined(parts)
            found[name]["outside"] = np.array(
                [
                    outside(saliency > 0.5, boxes)
                    for saliency, boxes in zip(found[name]["saliency"], drawn.boxes, strict=True)
                ]
            )
    lines = _tables(store, ids, found)
    _galleries(store, shown, [model.labels[label] for label in labels], found)
    console.print(terminal_table(lines, f"{len(ids)} pictures, means [95% interval]"))
    console.print(f"Results in {out}")


@partial(jax.jit, static_argnums=0)
def _seen(objective, keys, classifier, images, targets, maps, infill):
    def see(parts):
        key, image, target, saliency = parts
        return mixture(key, classifier, image, target, saliency, infill=infill, objective=objective)

    return jax.lax.map(see, (keys, images, targets, maps))


def _galleries(
    store: Store, shown: np.ndarray, names: list[str], found: dict[str, dict[str, np.ndarray]]
) -> None:
    """Under each picture the map of every infiller and the mixture it leaves, gallery_N.png."""
    columns = []
    for i, name in enumerate(names):
        maps: dict[str, np.ndarray] = {}
        for infill, arrays in found.items():
            maps |= {infill: arrays["saliency"][i], f"{infill}, seen": arrays["image"][i]}
        columns.append(Panel(shown[i], name, maps))
    for number, first in enumerate(range(0, len(columns), ACROSS)):
        panels(store.out / f"gallery_{number}.png", columns[first : first + ACROSS])


def _tables(
    store: Store, ids: list[str], found: dict[str, dict[str, np.ndarray]]
) -> list[dict[str, str]]:
    """Writes the numbers per picture and the means; returns the means as text."""
    rows: list[dict[str, Any]] = [
        {"picture": ids[i], "infill": name} | {n: round(float(arrays[n][i]), 4) for n in NUMBERS}
        for name, arrays in found.items()
        for i in range(len(ids))
    ]
    write_csv(store.out / "table.csv", rows)
    means = {
        name: {n: interval(arrays[n][~np.isnan(arrays[n])]) for n in NUMBERS}
        for name, arrays in found.items()
    }
    write_text(
        store.out / "results.json",
        json.dumps({"settings": store.settings, "pictures": ids, "means": means}, indent=2) + "\n",
    )
    lines = [
        {"infill": name} | {head: values[n].text() for n, head in NUMBERS.items()}
        for name, values in means.items()
    ]
    write_text(store.out / "table.md", markdown_table(lines))
    return lines
