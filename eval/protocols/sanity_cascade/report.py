"""What a cascade of untrained layers did to the maps of several methods: tables and figures."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np

from eval.intervals import Interval, difference, interval
from eval.report import Panel, markdown_table, panels
from eval.store import Store
from eval.subject import Drawn
from fidojax.metrics import agreement
from fidojax.runs import environment, write_csv, write_text

MEASURES = {
    "Spearman": ("signed", "spearman"),
    "Spearman, absolute": ("absolute", "spearman"),
    "SSIM, absolute": ("absolute", "ssim"),
}
"""Sign and number of `fidojax.metrics.agreement`; each map is brought to [0, 1] for SSIM."""
FLOOR = "other picture"
Maps = Mapping[tuple[str, str], np.ndarray]
"""By method and part, "n h w"."""


def write_report(
    store: Store,
    drawn: Drawn,
    maps: Maps,
    titles: Mapping[str, str],
    same: Mapping[str, np.ndarray],
) -> list[dict[str, str]]:
    """Writes tables and figures; returns what the terminal shows.

    A constant map agrees with nothing, and its picture does not count there.

    Args:
        maps: of the part "reference" and those of `titles`.
        titles: of the levels by their parts.
        same: by title, which pictures have their class still, "n".
    """
    methods = list(dict.fromkeys(method for method, _ in maps))
    found = {}
    for method in methods:
        reference = maps[method, "reference"]
        others = {title: maps[method, part] for part, title in titles.items()}
        for title, other in (others | {FLOOR: np.roll(reference, 1, axis=0)}).items():
            for measure, (sign, number) in MEASURES.items():
                values = _compared(reference, other, sign)[number]
                found[method, title, measure] = np.asarray(values)
    levels = [*titles.values(), FLOOR]
    rows = [
        {"method": method, "layers": title, "measure": measure}
        | _numbers(found[method, title, measure], found[method, FLOOR, measure])
        for method in methods
        for title in levels
        for measure in MEASURES
    ]
    result = {
        "settings": store.settings,
        "environment": environment(),
        "pictures": drawn.ids,
        "same_class": {title: float(values.mean()) for title, values in same.items()},
        "rows": rows,
    }
    write_text(store.out / "results.json", json.dumps(result, indent=2) + "\n")
    write_csv(
        store.out / "pictures.csv",
        [
            {"picture": name, "method": method, "layers": title}
            | {m: f"{found[method, title, m][i]:.5g}" for m in MEASURES}
            for method in methods
            for title in levels
            for i, name in enumerate(drawn.ids)
        ],
    )
    lines = [
        {"method": method, "layers drawn anew": title}
        | {measure: _text(rows, method, title, measure) for measure in MEASURES}
        | {"same class": f"{same[title].mean():.0%}" if title in same else ""}
        for method in methods
        for title in levels
    ]
    write_text(store.out / "table.md", markdown_table(lines))
    _curves(store.out / "cascade.png", rows, methods, levels)
    named = {"reference": "trained"} | dict(titles)
    columns = [
        Panel(drawn.images[0], title, {method: maps[method, part][0] for method in methods})
        for part, title in named.items()
    ]
    panels(store.out / "gallery.png", columns)
    return lines


@partial(jax.jit, static_argnames="sign")
def _compared(one, other, sign):
    found = jax.vmap(partial(agreement, sign=sign, scale="range"))(one, other)
    return {"spearman": found.spearman, "ssim": found.ssim}


def _numbers(own: np.ndarray, floor: np.ndarray) -> dict:
    known = np.isfinite(own)
    both = known & np.isfinite(floor)
    nothing = Interval(*[float("nan")] * 3)
    value = interval(own[known]) if known.any() else nothing
    above = difference(own[both], floor[both]) if both.any() else nothing
    return {"pictures": int(known.sum()), **value._asdict(), "above_floor": above._asdict()}


def _text(rows: Sequence[Mapping], method: str, title: str, measure: str) -> str:
    (row,) = (
        r for r in rows if (r["method"], r["layers"], r["measure"]) == (method, title, measure)
    )
    return Interval(row["value"], row["low"], row["high"]).text(2)


def _curves(path: Path, rows: Sequence[Mapping], methods: Sequence[str], levels: Sequence[str]):
    """Agreement by the number of layers, with 95% intervals; other pictures' maps at the end."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(MEASURES), figsize=(13, 4.2), layout="constrained")
    at = np.arange(len(levels))
    for axis, measure in zip(axes, MEASURES, strict=True):
        for place, method in enumerate(methods):
            chosen = [r for r in rows if (r["method"], r["measure"]) == (method, measure)]
            value, low, high = np.array([[r[k] for k in Interval._fields] for r in chosen]).T
            error = np.maximum([value - low, high - value], 0)
            x = at + 0.05 * (place - (len(methods) - 1) / 2)
            style = {"color": f"C{place}", "ms": 3, "lw": 1, "elinewidth": 0.7}
            axis.errorbar(x[:-1], value[:-1], error[:, :-1], marker="o", label=method, **style)
            axis.errorbar(x[-1:], value[-1:], error[:, -1:], marker="s", **style)
        axis.set_xticks(at, [level.replace(", ", ",\n") for level in levels], fontsize=8)
        axis.set(title=measure, xlabel="the classifier's layers drawn anew")
        axis.grid(axis="y", alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=8, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)
