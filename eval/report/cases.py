"""Pictures that show a row at its best, its median and its worst."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from eval.report.comparison import Samples
from eval.report.reading import StoredRun
from fidojax.runs import DONE, read_maps

NAMES = {
    "low": ("best", "median", "worst"),
    "high": ("worst", "median", "best"),
    "none": ("lowest", "median", "highest"),
}
"""Names of the smallest, the middle and the largest value, by which direction is better."""


def cases(run: StoredRun, samples: Samples) -> dict[str, list[dict[str, Any]]]:
    """The cases of each row, the best first; rows without the gallery's number are left out."""
    key = run.study["gallery"]
    if key not in samples:
        return {}
    asked = run.study["gallery_rows"] or list(samples[key])
    return {
        row: found
        for row in asked
        if row in samples[key] and (found := _cases(run, row, samples[key][row]))
    }


def images(run: StoredRun, at: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture "h w c" and its boxes "b 4"; boxes without area are left out."""
    has = "boxes" in run.pictures.names
    boxes = run.pictures.read("boxes", [at])[0] if has else np.empty((0, 4))
    area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return run.pictures.read("images", [at])[0], boxes[area]


def saliency(run: StoredRun, row: str, at: int) -> np.ndarray | None:
    """The map of a picture; None where there is no finite one."""
    ledger = run.explained.get(row)
    if ledger is None or at >= len(ledger) or ledger.status[at] != DONE:
        return None
    found = read_maps(ledger, [at])[0]
    return found if np.isfinite(found).all() else None


def found_box(run: StoredRun, row: str, at: int) -> np.ndarray:
    """The box "n 4" that the map was judged by, where the gallery's scores hold it."""
    name = run.study["numbers"][run.study["gallery"]]["set"]
    ledger = run.scored[name, row]
    boxes = ledger.read("box", [at]) if "box" in ledger.names else np.empty((0, 4))
    return boxes if boxes.shape[1:] == (4,) and np.isfinite(boxes).all() else np.empty((0, 4))


def _cases(run: StoredRun, row: str, values: np.ndarray) -> list[dict[str, Any]]:
    having = np.flatnonzero(np.isfinite(values))
    if not len(having):
        return []
    order = having[np.argsort(values[having], kind="stable")]
    names = NAMES[run.study["numbers"][run.study["gallery"]]["better"]]
    chosen = zip(names, (order[0], order[(len(order) - 1) // 2], order[-1]), strict=True)
    found = [_case(run, row, name, int(at), float(values[at])) for name, at in chosen]
    return found[::-1] if names[-1] == "best" else found


def _case(run: StoredRun, row: str, name: str, at: int, value: float) -> dict[str, Any]:
    ledger = run.explained.get(row)
    target = None
    if ledger is not None and at < len(ledger) and "targets" in ledger.names:
        target = int(ledger.read("targets", [at])[0])
    classes: Mapping[str, int | None] = {
        "label": _at(run, "labels", at),
        "prediction": _at(run, "predictions", at),
        "target": target,
    }
    names = run.pictures.provenance.get("label_names") or []
    return {
        "case": name,
        "picture": at,
        "id": run.pictures.ids[at],
        "value": value,
        **{
            kind: None if i is None else names[i] if 0 <= i < len(names) else str(i)
            for kind, i in classes.items()
        },
    }


def _at(run: StoredRun, column: str, at: int) -> int | None:
    if column not in run.pictures.names:
        return None
    return int(run.pictures.read(column, [at])[0])
