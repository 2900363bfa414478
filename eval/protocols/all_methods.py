"""All explainers on the same photos: one figure, and what each costs and is worth.

    python -m eval.run all-methods ../shared/data/imagenet_samples --out runs/all \
        --weights ../shared/models/mobilenetv2_imagenet.npz

Per method: seconds and passes of the classifier per photo, whether a map is finite, the smallest
share of its pixels that gives the class half its probability (mean infill), and how much the map
is the same for a network whose weights were shuffled within each array, the sanity check of Adebayo
et al. 2018: a map that does not change says nothing about what the network has learned.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import rich
from scipy.stats import spearmanr

from eval.explainers import Setting, settings
from eval.protocols.photos import classified_right, labelled_photos, needed_share
from eval.report import Panel, markdown_table, panels, progress_bars, terminal_table
from eval.store import Store
from fidojax import explain_batch, image_keys
from fidojax import networks as pretrained
from fidojax.bench import count_passes
from fidojax.data import IMAGENET_CROP
from fidojax.runs import digest, write_csv, write_text
from fidojax.transforms.cpu import fast
from fidojax.types import Classifier
from infillers import mean


def all_methods(
    folder: Path,
    /,
    out: Path,
    classifier: str = "keras:MobileNetV2",
    weights: Path | None = None,
    methods: tuple[str, ...] = (),
    limit: int = 20,
    shuffled: int = 4,
    crop: float = IMAGENET_CROP,
    seed: int = 0,
) -> None:
    """Every explainer on the same photos, in one figure and one table.

    Args:
        folder: pictures whose file names begin with the index of their class.
        out: folder of the results; a stopped run goes on from there.
        classifier: a name for `fidojax.networks.load`.
        weights: a file with weights for it.
        methods: rows of `eval.explainers.settings`; all of them if not given.
        limit: so many pictures that are classified right.
        shuffled: so many of them are also explained for the network with shuffled weights.
        crop: share of the shorter side that the centre crop keeps.
        seed: seeds the order of the pictures, the methods and the shuffling.
    """
    console = rich.get_console()
    model = pretrained.load(classifier, weights)
    model = model._replace(classifier=fast(model.classifier))
    known = settings()
    if unknown := [name for name in methods if name not in known]:
        raise ValueError(
            f"methods: there is no {unknown[0]!r}, expected some of {', '.join(known)}"
        )
    rows = {name: known[name] for name in methods or known}
    networks = {
        "": model.classifier, ".shuffled": shuffle(jax.random.key(seed), model.classifier)
    }  # fmt: skip
    store = Store(
        out,
        {
            "protocol": "all-methods",
            "folder": folder.resolve().name,
            "classifier": f"{classifier} {digest(model.classifier)}",
            "crop": crop,
            "seed": seed,
        },
    )
    paths = labelled_photos(folder, seed)
    console.print(f"{len(rows)} methods on up to {limit} pictures of {folder}; finished maps stay")
    done: list[str] = []
    ran: set[str] = set()
    with progress_bars(console) as bars:
        total = bars.add_task("all maps", total=limit * len(rows))
        for name, image, label in classified_right(paths, model, store, crop, console):
            for row, setting in rows.items():
                for kind, network in networks.items():
                    if not store.has(f"{name}.{row}{kind}") and (not kind or len(done) < shuffled):
                        arrays, record = _explain(
                            name, image, label, network, setting, seed, warm_up=row not in ran
                        )
                        ran.add(row)
                        store.save(f"{name}.{row}{kind}", arrays, **record)
                bars.advance(total)
            done.append(name)
            if len(done) == limit:
                break
    if not done:
        raise ValueError(f"{classifier} classifies no picture of {folder} as its file name says")
    passes = {
        row: count_passes(setting.method, setting.options, model.size, len(model.labels))
        for row, setting in rows.items()
    }
    lines = []
    for row in rows:
        parts = [store.load(f"{name}.{row}") for name in done]
        twins = [
            (arrays["saliency"], store.load(f"{name}.{row}.shuffled")[0]["saliency"])
            for name, (arrays, _) in zip(done, parts, strict=True)
            if store.has(f"{name}.{row}.shuffled")
        ]
        lines.append({
            "method": row,
            "seconds": _median([record["seconds"] for _, record in parts]),
            "forward": passes[row].forward,
            "backward": passes[row].backward,
            "finite": sum(bool(np.isfinite(arrays["saliency"]).all()) for arrays, _ in parts),
            "smallest area for p/2": _median([record["share"] for _, record in parts]),
            "same when shuffled": _median([likeness(*maps) for maps in twins]),
            "why": rows[row].why,
        })  # fmt: skip
    write_csv(store.out / "table.csv", lines)
    shown = [{key: _text(value) for key, value in line.items()} for line in lines]
    write_text(store.out / "table.md", markdown_table(shown))
    write_text(
        store.out / "results.json",
        json.dumps({"settings": store.settings, "pictures": done, "rows": lines}, indent=2) + "\n",
    )
    _figure(store, done, list(rows), model.labels)
    console.print(terminal_table(shown, f"Medians over {len(done)} pictures"))
    console.print(f"Results in {out}")


def shuffle(key: jax.Array, classifier: Classifier) -> Classifier:
    """The classifier with the entries of every array of its weights in random order."""
    leaves, structure = jax.tree.flatten(classifier)
    mixed = [
        jax.random.permutation(jax.random.fold_in(key, i), jnp.ravel(leaf)).reshape(jnp.shape(leaf))
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        else leaf
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, mixed)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two maps; NaN where one of them is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one.ravel(), other.ravel())[0])  # type: ignore[arg-type]


def _explain(
    name: str,
    image: np.ndarray,
    label: int,
    classifier: Classifier,
    setting: Setting,
    seed: int,
    *,
    warm_up: bool,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """One map, its seconds without compiling, and the share of pixels that keeps the class."""

    def run() -> np.ndarray:
        explained = explain_batch(
            setting.method, classifier, image[None], [label], options=setting.options, seed=seed,
            ids=[name], batch_size=1, devices=jax.local_devices()[:1],
        )  # fmt: skip
        return np.asarray(explained.saliency[0])

    if warm_up:
        run()
    began = time.monotonic()
    saliency = run()
    seconds = time.monotonic() - began
    (key,) = image_keys(seed + 1, [name])
    share = float(needed_share(key, classifier, image, label, saliency, mean()))
    return {"saliency": saliency}, {"seconds": round(seconds, 3), "share": share}


def _figure(store: Store, names: list[str], rows: list[str], labels: tuple[str, ...]) -> None:
    columns = []
    for name in names:
        picture, record = store.load(name)
        maps = {row: store.load(f"{name}.{row}")[0]["saliency"] for row in rows}
        columns.append(Panel(picture["image"], labels[record["label"]], maps))
    panels(store.out / "figure.png", columns)


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else float("nan")


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
