"""The tables of VarSal's uncertainty: shifted pictures, distances of rankings, correlations."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eval.intervals import Interval, means
from eval.protocols.varsal.uncertainty_worth import distances, worth
from eval.report.reading import StoredRun
from fidojax.runs import unpack

CLEAN = ("clean", 0)
SHIFTED = ("deviation", "relative", "erased", "accuracy")
"""Numbers by severity; the first two also as the difference to clean pictures."""


class Names(NamedTuple):
    """The rows of a run.

    Attributes:
        conditions: VarSal's, by corruption and severity.
        fido: FIDO's, one per seed.
    """

    conditions: Mapping[tuple[str, int], str]
    fido: Sequence[str]

    @property
    def clean(self) -> str:
        """VarSal's row of clean pictures."""
        return self.conditions[CLEAN]


class Shared(NamedTuple):
    """VarSal's means and deviations, "n h w", of the pictures that have FIDO maps, and those."""

    mean: np.ndarray
    deviation: np.ndarray
    fido: list[np.ndarray]


def title_of(corruption: str, severity: int) -> str:
    """A condition's name in tables."""
    return f"{corruption.replace('_', ' ')} {severity}" if severity else corruption


def tables(run: StoredRun, *, names: Names) -> dict[str, list[dict[str, str]]]:
    """All tables as text."""
    shared = shared_maps(run, names)
    clean = {number: run.values(number, names.clean) for number in run.study["numbers"]}
    found = {
        "Shifted pictures": shift(run, names),
        "Distance of rankings": distances(shared.mean, shared.fido),
        "Correlation of the uncertainty": worth(*shared, clean),
    }
    return {title: [_text(row) for row in rows] for title, rows in found.items()}


def shared_maps(run: StoredRun, names: Names) -> Shared:
    """The maps of the first pictures, those that FIDO explains."""
    fido = [run.maps(row) for row in names.fido]
    ledger, rows = run.explained[names.clean], np.arange(len(fido[0]))
    deviation = unpack(ledger.read("deviation", rows), ledger.read("deviation_scale", rows))
    return Shared(run.maps(names.clean)[rows], deviation, fido)


def shift(run: StoredRun, names: Names) -> list[dict[str, Any]]:
    """Figure 7 as numbers: means over pictures, and their differences to the clean ones."""
    rows = []
    for (corruption, severity), name in names.conditions.items():
        row: dict[str, Any] = {"corruption": corruption, "severity": severity}
        for number in SHIFTED:
            values = run.values(number, name)
            row[number] = means(values[:, None])[0]
            if number in SHIFTED[:2]:
                change = values - run.values(number, names.clean)
                row[f"{number} - clean"] = means(change[:, None])[0]
        rows.append(row)
    return rows


def _text(row: Mapping[str, Any]) -> dict[str, str]:
    def cell(name: str, value: Any) -> str:
        signed = name.startswith("- ") or name.endswith(" - clean")  # a difference
        return value.text(signed=signed) if isinstance(value, Interval) else str(value)

    return {name: cell(name, value) for name, value in row.items()}
