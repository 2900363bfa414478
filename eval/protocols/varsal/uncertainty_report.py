"""What a run of VarSal's uncertainty measured, as tables."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from eval.intervals import Interval, difference, interval
from eval.protocols.varsal.uncertainty_figures import Show, scatters, severities, shifted
from eval.protocols.varsal.uncertainty_worth import distances, rank_errors, worth
from eval.report import markdown_table
from eval.store import Store
from eval.subject import Drawn
from fidojax.runs import environment, write_csv, write_text

Rows = list[dict[str, Any]]
CLEAN = ("clean", 0)


class Results(NamedTuple):
    """All that was measured.

    Attributes:
        encoder: as it was asked for.
        fingerprint: of its weights.
        drawn: the pictures.
        measured: by corruption and severity, one entry per picture: `deviation`, the map's mean
            standard deviation; `spread`, the standard deviation of the mean map over its pixels;
            `erased`, KL without the lowest half of the pixels; `logits`.
        mean, deviation: "n h w", of the pictures that have FIDO maps.
        fido: by seed, "n h w".
    """

    encoder: str
    fingerprint: str
    drawn: Drawn
    measured: Mapping[tuple[str, int], Mapping[str, np.ndarray]]
    mean: np.ndarray
    deviation: np.ndarray
    fido: Sequence[np.ndarray]


def write_report(
    store: Store, results: Results, show: Show, names: Sequence[str]
) -> dict[str, list[dict[str, str]]]:
    """Writes tables and figures; returns the tables as text, by title.

    Args:
        show: pictures, means and deviations of some rows under a corruption.
        names: readable classes of the pictures.
    """
    numbers = _numbers(results)
    clean = numbers[CLEAN]
    apart = rank_errors(results.mean, results.fido)["apart"]
    shift, distance = _shift(numbers), distances(results.mean, results.fido)
    correlations = worth(results.mean, results.deviation, results.fido, clean)
    found = {
        "settings": store.settings,
        "encoder": f"{results.encoder} {results.fingerprint}",
        "environment": environment(),
        "pictures": results.drawn.ids,
        "shift": _plain(shift),
        "distance": _plain(distance),
        "worth": _plain(correlations),
    }
    write_text(store.out / "results.json", json.dumps(found, indent=2) + "\n")
    tables = {
        "Shifted pictures": _text(shift),
        "Distance of rankings": _text(distance),
        "Correlation of the uncertainty": _text(correlations),
    }
    lines = [f"## {title}\n\n{markdown_table(rows)}" for title, rows in tables.items()]
    write_text(store.out / "table.md", "\n".join(lines))
    write_csv(store.out / "pictures.csv", _pictures(results, numbers, apart))
    severities(store.out / "severity.png", shift)
    panels = {
        "distance to FIDO, 1 - Spearman": (clean["relative"][: len(apart)], apart),
        "KL without the lowest half, nats": (clean["relative"], clean["erased"]),
    }
    scatters(store.out / "worth.png", panels)
    shifted(store.out / "shifted.png", show, names)
    return tables


def _numbers(results: Results) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    """By condition one number per picture of each kind, float64."""
    found = {}
    for condition, columns in results.measured.items():
        chances = softmax(columns["logits"].astype(np.float64), axis=1)
        numbers = {n: columns[n].astype(np.float64) for n in ("deviation", "spread", "erased")}
        found[condition] = numbers | {
            "relative": numbers["deviation"] / numbers["spread"],
            "confidence": chances.max(axis=1),
            "accuracy": (chances.argmax(axis=1) == results.drawn.labels).astype(np.float64),
        }
    return found


def _shift(numbers: Mapping) -> Rows:
    """Figure 7 as numbers: means over pictures, and their differences to the clean ones."""
    rows = []
    for (corruption, severity), columns in numbers.items():
        row: dict[str, Any] = {"corruption": corruption, "severity": severity}
        for name in ("deviation", "relative", "erased", "accuracy"):
            row[name] = interval(columns[name])
            if name in ("deviation", "relative"):
                row[f"{name} - clean"] = difference(columns[name], numbers[CLEAN][name])
        rows.append(row)
    return rows


def _pictures(results: Results, numbers: Mapping, distance: np.ndarray) -> Rows:
    """A row per picture and condition; `distance to FIDO` where there is one."""
    apart = dict(zip(results.drawn.ids, distance, strict=False))
    return [
        {"picture": name, "corruption": corruption, "severity": severity}
        | {kind: f"{column[i]:.5g}" for kind, column in columns.items()}
        | {"distance to FIDO": f"{apart[name]:.5g}" if name in apart and severity == 0 else ""}
        for (corruption, severity), columns in numbers.items()
        for i, name in enumerate(results.drawn.ids)
    ]


def _text(rows: Rows) -> list[dict[str, str]]:
    def cell(name: str, value: Any) -> str:
        signed = name.startswith("- ") or name.endswith(" - clean")  # a difference
        return value.text(signed=signed) if isinstance(value, Interval) else str(value)

    return [{name: cell(name, value) for name, value in row.items()} for row in rows]


def _plain(rows: Rows) -> Rows:
    """The same as JSON values."""
    return [
        {n: v._asdict() if isinstance(v, Interval) else v for n, v in row.items()} for row in rows
    ]
