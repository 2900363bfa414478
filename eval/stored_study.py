"""What a run stores of itself beside maps and scores: its pictures, and what it compares."""

import dataclasses
import json
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from eval.cost import Cost
from eval.report import Panel, panels
from eval.store import environment, write_text
from eval.study import Study, plain
from eval.subject import Run, Subject
from fidojax.data.boxes import padded
from fidojax.ledger import DONE, Ledger, read_maps

SHOWN = 10
"""Pictures in a gallery."""


def store_pictures(run: Run, of: Subject, common: Mapping[str, Any]) -> None:
    drawn = of.drawn
    ledger = Ledger(
        run.out / "results.zarr" / "pictures", len(drawn.ids), common,
        provenance=environment() | {"label_names": list(of.model.labels)},
    )  # fmt: skip
    if len(ledger.missing()):
        columns = {
            "images": np.round(drawn.images * 255).astype(np.uint8),
            "labels": drawn.labels.astype(np.int32),
            "predictions": drawn.predictions.astype(np.int32),
            "boxes": padded(drawn.boxes),
        }
        ledger.write(np.arange(len(drawn.ids)), drawn.ids, columns)


def store_study(
    study: Study,
    run: Run,
    chosen: Mapping[str, Any],
    common: Mapping[str, Any],
    cost: Mapping[str, Cost],
) -> None:
    rows = {
        name: {
            "label": name,
            "method": row.name,
            "group": row.group,
            "options": ", ".join(f"{key} {value}" for key, value in plain(row.options).items()),
            "why": row.why,
            "passes": passes._asdict() if (passes := cost[name].passes) else None,
            "limit": row.limit,
            "like": row.like,
            "scores": {kind: study.folder(name, kind) for kind in study.scores},
        }
        for name, row in study.rows.items()
    }
    command = _command(study.name, run, chosen)
    contents = study.plain() | {
        "rows": rows,
        "settings": plain(dict(chosen) | dict(common)),
        "command": command,
    }
    write_text(run.out / "study.json", json.dumps(contents, indent=2, ensure_ascii=False) + "\n")


def store_gallery(run: Run, of: Subject, ledgers: Mapping[str, Ledger]) -> None:
    """gallery.png: the first pictures of which every row has a map, all rows below each other."""
    shortest = min(map(len, ledgers.values()))
    finished = [ledger.status[:shortest] == DONE for ledger in ledgers.values()]
    rows = np.flatnonzero(np.all(finished, axis=0))[:SHOWN]
    if not len(rows):
        return
    maps = {name: read_maps(ledger, rows) for name, ledger in ledgers.items()}
    columns = [
        Panel(
            of.drawn.images[row], of.model.labels[of.drawn.labels[row]],
            {name: found[at] for name, found in maps.items()},
        )
        for at, row in enumerate(rows)
    ]  # fmt: skip
    panels(run.out / "gallery.png", columns)


def _command(name: str, run: Run, chosen: Mapping[str, Any]) -> str:
    """The command line that makes this run."""
    words = ["python", "-m", "eval.run", name]
    fields = {
        field.name: getattr(run, field.name)
        for field in dataclasses.fields(run)
        if getattr(run, field.name) != field.default and field.name not in ("shard", "dry_run")
    }
    for option, value in {**fields, **chosen}.items():
        values = value if isinstance(value, tuple | list) else [value]
        if value is not None and values and not isinstance(value, bool):
            words += [f"--{option.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)
