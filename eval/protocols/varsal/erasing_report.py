"""Which of the paper's orderings hold in a varsal-erasing run, share by share."""

from collections.abc import Mapping, Sequence

import numpy as np

from eval.intervals import Interval, means
from eval.report.comparison import FAILS, HOLDS, UNDECIDED
from eval.report.reading import StoredRun

OURS = "varsal"
ORDERINGS = {
    "random": "control",
    "standard": "text",
    "varsal sampled": "text",
    "gradient": "figure",
    "integrated_gradients": "figure",
    "pda": "figure",
    "input_x_gradient": "not in the paper",
    "center": "not in the paper",
    "smoothgrad_squared": "called similar",
    "fido": "called similar",
}
"""What VarSal's mean map should be below, and where the paper says so. It calls the values of
SmoothGrad squared, FIDO and VarSal similar, which no interval can show without a margin."""
NEAR_RANDOM = ("gradient", "integrated_gradients", "pda")
"""Rankings that are said to get close to the random control as more pixels go."""
SMOOTHER = (("varsal", "standard"), ("varsal", "varsal sampled"), ("standard", "standard sampled"))
"""Pairs of which the first is said to vary less between adjacent pixels (Figures 3 and 6)."""

Curves = Mapping[str, np.ndarray]
"""The divergence in nats by ranking, "pictures shares"; NaN where a picture was not explained."""


def tables(run: StoredRun) -> dict[str, list[dict[str, str]]]:
    """The divergence minus VarSal's and the orderings that follow, by share of erased pixels."""
    curves = {row: run.curve("kl", row) for row in run.study["rows"]}
    curves = {row: curve for row, curve in curves.items() if np.isfinite(curve).any()}
    return compare(curves, [f"{share:.0f}%" for share in run.study["curves"]["kl"]["x"]])


def compare(curves: Curves, heads: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """The tables of some curves; `heads` are the shares as text."""
    gaps = behind(curves)
    text = {
        row: {head: gap.text(signed=True) for head, gap in zip(heads, own, strict=True)}
        for row, own in gaps.items()
    }
    found = {
        "KL less that of VarSal's mean map, same pictures": [
            {f"minus {OURS}": row} | cells for row, cells in text.items()
        ],
        "Orderings, by these intervals, at the shares": [
            {f"{OURS} below": row, "paper": source}
            | {word: _where(gaps[row], heads, word) for word in (HOLDS, FAILS, UNDECIDED)}
            for row, source in ORDERINGS.items()
            if row in gaps
        ],
        "Nearer to the random order with more pixels erased": [
            {"claim": claim, "paper": "text", "verdict": verdict(gap)}
            | {"difference": gap.text(signed=True)}
            for claim, gap in nearing(curves, heads).items()
        ],
    }
    return {title: rows for title, rows in found.items() if rows}


def behind(curves: Curves) -> dict[str, list[Interval]]:
    """By ranking, the divergence minus that of VarSal's mean map, one interval per share."""
    if OURS not in curves:
        return {}
    return {row: means(own - curves[OURS]) for row, own in curves.items() if row != OURS}


def nearing(curves: Curves, heads: Sequence[str]) -> dict[str, Interval]:
    """By claim, the change of the mean distance to the random control from midway to the end."""
    found = {}
    middle = len(heads) // 2
    for row in NEAR_RANDOM:
        if row in curves and "random" in curves:
            gap = curves["random"] - curves[row]
            far = gap * np.sign(np.nanmean(gap, axis=0))
            change = far[:, -1] - far[:, middle]
            claim = f"{row} nearer to random at {heads[-1]} than at {heads[middle]}"
            found[claim] = means(change[:, None])[0]
    return found


def verdict(gap: Interval, below: bool = True) -> str:
    """Whether a difference lies below 0, or above it unless `below`, by its interval."""
    low, high = (gap.low, gap.high) if below else (-gap.high, -gap.low)
    return HOLDS if high < 0 else FAILS if low > 0 else UNDECIDED


def _where(gaps: Sequence[Interval], heads: Sequence[str], word: str) -> str:
    """The shares at which a ranking's lead has that verdict, neighbours as a range."""
    at = [i for i, gap in enumerate(gaps) if verdict(gap, below=False) == word]
    spans = np.split(np.array(at, int), np.flatnonzero(np.diff(at) > 1) + 1) if at else []
    words = []
    for span in spans:
        first, last = heads[span[0]], heads[span[-1]]
        words.append(last if first == last else f"{first[:-1]}–{last}")  # noqa: RUF001
    return ", ".join(words)
