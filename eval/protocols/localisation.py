"""Does a map find the object, and does its box show the class? FIDO's Table 1 and Figure 8.

    python -m eval.run localisation --data-dir DATA --out runs/localisation

The maps of the true class, whether it is predicted or not. Masks (FIDO, Realtime, the fixed boxes)
are cut at one half. Maps without a scale are cut at alpha times their mean; alpha has the least
error on one half of the pictures and is used on the other half, and the other way round, so that
no picture is judged by an alpha that it helped to find.

FIDO explains the first pictures only, and there everything is compared with it.

Maps are stored group by group: a stopped run goes on when started again, and what is only about
judging them (--empty, --component, --interpolation, --tolerance) may change.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rich
from rich.console import Console

from eval.boxes import padded
from eval.drawn import Drawn, draw
from eval.judging import Judged, judge
from eval.localisation_report import write_report
from eval.methods import settings
from eval.report import progress_bars
from eval.store import Store, digest
from fidojax import explain_batch, pretrained
from fidojax.boxes import COMPONENTS, EMPTY
from fidojax.cpu import fast
from fidojax.encoders import load_encoder, load_masker
from fidojax.metrics.saliency_metric import KERNELS
from fidojax.names import check_count, check_name
from fidojax.presets import PRESETS
from fidojax.types import Classifier, Method
from infillers import INFILLERS

MASKS = (
    "max", "center", "box", "realtime", "fido",
    "bbmp", "meaningful_perturbation", "extremal_perturbation",
)  # fmt: skip
"""Methods whose maps lie in [0, 1] and mean what they say at one half."""


class Row(NamedTuple):
    """A row of the table: a method with its options."""

    method: str | Method
    options: Mapping[str, Any]
    rule: str


def localisation(
    out: Path,
    images: str = "tfds:tiny_imagenet40/validation",
    data_dir: Path | None = None,
    classifier: str = "tiny_imagenet40",
    weights: Path | None = None,
    methods: tuple[str, ...] = (
        "max", "center", "box", "gradient", "grad_cam", "varsal", "realtime", "fido",
    ),
    infill: tuple[str, ...] = ("mean", "blur", "random", "local", "vae", "ca"),
    preset: str = "fast",
    encoder: str | None = None,
    masker: str | None = None,
    confidence: tuple[float, ...] = (6.0,),
    limit: int | None = None,
    fido_limit: int = 100,
    empty: str = "image",
    component: str = "all",
    interpolation: str = "linear",
    tolerance: float = 0.0,
    group: int = 8,
    seed: int = 0,
) -> None:  # fmt: skip
    """FIDO Table 1 and Figure 8: WSL error, saliency metric, out-of-box, pointing game.

    Args:
        out: folder of the results; a stopped run goes on from there.
        images: a labelled set with boxes, as `fidojax.data.pictures` takes it.
        data_dir: where TFDS sets lie prepared.
        classifier: a name for `fidojax.pretrained.load`.
        weights: a file with other weights for it.
        methods: max, box, varsal, realtime, or rows of `eval.methods.settings`.
        infill: names of infillers for FIDO, a row each.
        preset: of FIDO, a name in `fidojax.presets.PRESETS`.
        encoder: of VarSal, as `fidojax.encoders.load_encoder` takes it; the classifier's when None.
        masker: of Realtime, as `load_masker` takes it; the classifier's when None.
        confidence: of Realtime, a row each.
        limit: so many pictures that have boxes, drawn at random; all when None.
        fido_limit: so many of them are explained by FIDO.
        empty: box of a map that chooses no pixel: image or none.
        component: pixels that the box holds: all, or the largest connected component.
        interpolation: of the saliency metric's crops: linear or cubic.
        tolerance: of the pointing game, in pixels.
        group: pictures that are explained at once.
        seed: seeds the choice of the pictures, the methods and the infillers.
    """
    console = rich.get_console()
    check_name("preset", preset, PRESETS)
    check_name("empty", empty, EMPTY)
    check_name("component", component, COMPONENTS)
    check_name("interpolation", interpolation, KERNELS)
    check_count(limit=2 if limit is None else limit, fido_limit=fido_limit, group=group)
    model = pretrained.load(classifier, weights)
    network = {"varsal": encoder or classifier, "realtime": masker or classifier}
    rows = _rows(methods, infill, preset, network, confidence, console)
    drawn = draw(images, model, data_dir, None, seed, console)
    having = [i for i, boxes in enumerate(drawn.boxes) if boxes is not None and len(boxes)]
    drawn = drawn.rows(np.array(having[:limit], int))
    if len(drawn.ids) < 2:
        raise ValueError(f"{images}: expected at least 2 pictures with boxes, found {len(having)}")
    store = Store(
        out,
        {
            "protocol": "localisation",
            "images": images,
            "pictures": f"{len(drawn.ids)} x {digest(drawn.images)}",
            "classifier": f"{classifier} {digest(model.classifier)}",
            "group": group,
            "seed": seed,
        },
    )
    counts = {
        name: min(fido_limit, len(drawn.ids)) if row.method == "fido" else len(drawn.ids)
        for name, row in rows.items()
    }
    console.print(
        f"{len(rows)} rows on {len(drawn.ids)} pictures, FIDO on the first {fido_limit}, of which "
        f"{classifier} classifies {drawn.right.mean():.0%} right; finished maps stay"
    )
    own = fast(model.classifier)
    scoring = {
        "empty": empty, "component": component, "interpolation": interpolation,
        "tolerance": tolerance,
    }  # fmt: skip
    judged: dict[str, Judged] = {}
    with progress_bars(console) as bars:
        total = bars.add_task("all maps", total=sum(counts.values()))
        for name, row in rows.items():
            parts = []
            for first in range(0, counts[name], group):
                last = min(first + group, counts[name])
                part = f"{name}-{digest(row.options)}.{first:05d}-{last - 1:05d}"
                if not store.has(part):
                    maps = _explain(row, own, drawn.rows(np.arange(first, last)), group, seed)
                    store.save(part, {"saliency": maps})
                parts.append(part)
                bars.advance(total, last - first)
            maps = store.joined(parts)["saliency"]
            judged[name] = judge(own, drawn.rows(np.arange(len(maps))), maps, row.rule, **scoring)
    names = [model.labels[label] for label in drawn.labels]
    for table in write_report(store, drawn, names, judged, {"preset": preset, **scoring}):
        console.print(table)
    console.print(f"Results in {out}")


def _rows(
    methods: tuple[str, ...],
    infill: tuple[str, ...],
    preset: str,
    network: Mapping[str, str],
    confidence: tuple[float, ...],
    console: Console,
) -> dict[str, Row]:
    """The rows whose weights are there."""
    known = settings()
    # Row -> method, and a function that loads its options.
    wanted: dict[str, tuple[str | Method, Any]] = {}
    for name in methods:
        check_name("methods", name, [*known, "max", "box", *network])
        if name == "fido":
            for fill in infill:
                check_name("infill", fill, INFILLERS)
                wanted[f"fido-{fill}"] = name, partial(_fido_options, preset, fill)
        elif name == "varsal":
            wanted[name] = name, lambda: {"encoder": load_encoder(network["varsal"])}
        elif name == "realtime":
            for value in confidence:
                row = name if value == confidence[0] else f"{name}-{value:g}"
                wanted[row] = name, partial(_realtime_options, network[name], value)
        elif name in known:
            wanted[name] = known[name].method, partial(getattr, known[name], "options")
        else:
            wanted[name] = name, dict
    rows = {}
    for name, (method, options) in wanted.items():
        rule = "absolute" if name.partition("-")[0] in MASKS else "mean"
        try:
            rows[name] = Row(method, options(), rule)
        except FileNotFoundError as error:
            console.print(f"{name} is left out: {error}", markup=False, soft_wrap=True)
    if not rows:
        raise ValueError("methods: none of them has its weights")
    return rows


def _realtime_options(masker: str, confidence: float) -> dict[str, Any]:
    return {"masker": load_masker(masker), "confidence": confidence}


def _fido_options(preset: str, infill: str) -> dict[str, Any]:
    return PRESETS[preset] | {"infill": INFILLERS[infill]()}


def _explain(row: Row, classifier: Classifier, drawn: Drawn, group: int, seed: int) -> np.ndarray:
    sides = np.array(drawn.images.shape[1:3] * 2, np.float32)
    each = {"boxes": padded(drawn.boxes) / sides} if row.method == "box" else {}
    explanation = explain_batch(
        row.method, classifier, drawn.images, drawn.labels,
        options=row.options, each=each, seed=seed, ids=drawn.ids, micro_batch=group,
    )  # fmt: skip
    return np.asarray(explanation.saliency)
