"""What a localisation run measured: tables and a gallery."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.patches import Rectangle
from rich.table import Table

from eval.drawn import Drawn
from eval.intervals import Interval, difference, interval
from eval.judging import Judged
from eval.report import markdown_table, terminal_table
from eval.store import Store, environment, write_csv, write_text
from fidojax.viz import SEQUENTIAL, normalise

matplotlib.use("Agg")

NUMBERS = {
    "error": "WSL error",
    "metric": "SM",
    "outside": "out of box",
    "pointing": "pointing game",
    "mass": "mass in box",
    "rank": "rank accuracy",
    "area": "area of its box",
}
COMPARED = ("error", "metric", "outside", "pointing")
OURS = "realtime"
"""The row that is compared with the others, as Dabkowski & Gal do."""
RIVALS = ("max", "center", "fido")
SHOWN = 8
"""Pictures in the gallery."""


def write_report(
    store: Store,
    drawn: Drawn,
    names: Sequence[str],
    judged: Mapping[str, Judged],
    scoring: Mapping[str, Any],
) -> list[Table]:
    """Writes table.md, table.csv, results.json and gallery.png; returns tables for the terminal.

    Args:
        names: readable classes of the pictures.
        judged: by row.
        scoring: how the maps were judged, for the record.
    """
    counts = sorted({len(row.maps) for row in judged.values()}, reverse=True)
    means = {
        count: {name: _means(row, count) for name, row in judged.items() if len(row.maps) >= count}
        for count in counts
    }
    ahead = _differences(judged)
    found = {
        "settings": store.settings,
        "scoring": scoring,
        "environment": environment(),
        "pictures": drawn.ids,
        "right": float(drawn.right.mean()),
        "alphas": {name: row.alphas for name, row in judged.items() if row.alphas},
        "means": {count: {k: _plain(v) for k, v in rows.items()} for count, rows in means.items()},
        "differences": {k: {"pictures": n} | _plain(v) for k, (n, v) in ahead.items()},
    }
    write_text(store.out / "results.json", json.dumps(found, indent=2) + "\n")
    write_csv(
        store.out / "table.csv",
        [
            {"picture": drawn.ids[i], "row": name, "box": " ".join(map(str, row.boxes[i]))}
            | {key: f"{values[i]:.5g}" for key, values in row.numbers.items()}
            for name, row in judged.items()
            for i in range(len(row.maps))
        ],
    )
    tables = {
        f"{'All' if count == len(drawn.ids) else 'The first'} {count} pictures": [
            _line(name, values, judged[name], count) for name, values in rows.items()
        ]
        for count, rows in means.items()
    }
    if ahead:
        tables[f"{OURS} minus another row, on the same pictures"] = [
            {"to": name, "pictures": str(count)}
            | {NUMBERS[key]: value.text(signed=True) for key, value in values.items()}
            for name, (count, values) in ahead.items()
        ]
    write_text(
        store.out / "table.md",
        "\n".join(f"{title}\n\n{markdown_table(lines)}" for title, lines in tables.items()),
    )
    _gallery(store.out / "gallery.png", drawn, names, judged)
    # All columns would not fit a terminal.
    columns = ("row", "to", *(NUMBERS[key] for key in COMPARED))
    return [
        terminal_table([{k: line[k] for k in columns if k in line} for line in lines], title)
        for title, lines in tables.items()
    ]


def _means(row: Judged, count: int) -> dict[str, Interval]:
    return {key: _mean(row.numbers[key][:count]) for key in NUMBERS}


def _mean(values: np.ndarray) -> Interval:
    """Over the pictures that have the number."""
    return interval(known) if len(known := values[~np.isnan(values)]) else Interval(*[np.nan] * 3)


def _differences(judged: Mapping[str, Judged]) -> dict[str, tuple[int, dict[str, Interval]]]:
    """Of `OURS` to each rival: on how many pictures, and by each number."""
    found = {}
    for name, row in judged.items():
        if OURS not in judged or name.partition("-")[0] not in RIVALS:
            continue
        values = {}
        for key in COMPARED:
            pair = np.stack([judged[OURS].numbers[key][: len(row.maps)], row.numbers[key]])
            pair = pair[:, ~np.isnan(pair).any(axis=0)]
            values[key] = difference(*pair) if pair.size else Interval(*[np.nan] * 3)
        found[name] = len(row.maps), values
    return found


def _plain(values: Mapping[str, Interval]) -> dict[str, dict[str, float | None]]:
    """As JSON, which has no NaN."""
    return {
        key: {k: None if np.isnan(v) else v for k, v in value._asdict().items()}
        for key, value in values.items()
    }


def _line(name: str, values: Mapping[str, Interval], row: Judged, count: int) -> dict[str, str]:
    line = {"row": name} | {title: values[key].text() for key, title in NUMBERS.items()}
    alphas = ", ".join(f"{alpha:.1f}" for alpha in row.alphas)
    return line | {"alpha": alphas, "empty": f"{row.numbers['empty'][:count].sum():.0f}"}


def _gallery(path: Path, drawn: Drawn, names: Sequence[str], judged: Mapping[str, Judged]) -> None:
    """Rows down, pictures across: each map with the true box, and dashed the one that is found."""
    import matplotlib.pyplot as plt

    count = min(SHOWN, *(len(row.maps) for row in judged.values()))
    size = (1.15 * count + 1.1, 1.32 * (len(judged) + 1) + 0.2)
    figure, axes = plt.subplots(
        len(judged) + 1, count, figsize=size, layout="constrained", squeeze=False
    )
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)  # type: ignore
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for i, column in enumerate(axes.T):
        column[0].imshow(np.clip(drawn.images[i].squeeze(), 0, 1), "gray")
        column[0].set_title(names[i][:16], fontsize=7, pad=2)
        for axis, row in zip(column[1:], judged.values(), strict=True):
            saliency = row.maps[i]
            axis.imshow(
                normalise(saliency)[0] if row.alphas else saliency, SEQUENTIAL, vmin=0, vmax=1
            )
            axis.set_title(f"IoU {row.numbers['iou'][i]:.2f}", fontsize=6, pad=1)
            _draw_box(axis, row.boxes[i], edgecolor="tab:red", linestyle="--")
        for axis in column:
            for box in drawn.boxes[i] if drawn.boxes[i] is not None else ():  # type: ignore
                _draw_box(axis, box, edgecolor="lime")
    for axis, name in zip(axes[1:, 0], judged, strict=True):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_box(axis, box: np.ndarray, **style: Any) -> None:
    top, left, bottom, right = (float(side) for side in box)
    corner = (left - 0.5, top - 0.5)
    axis.add_patch(
        Rectangle(corner, right - left, bottom - top, fill=False, linewidth=1.2, **style)
    )
