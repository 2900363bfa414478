"""What a varsal-erasing run measured, as tables, and which of the paper's orderings hold."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.table import Table

from eval.intervals import Interval, difference, interval
from eval.report import markdown_table, terminal_table
from eval.store import Store
from fidojax.runs import environment, write_csv, write_text

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
"""Said to get close to the random control as more pixels go."""
SMOOTHER = (("varsal", "standard"), ("varsal", "varsal sampled"), ("standard", "standard sampled"))
"""Pairs of which the first is said to vary less between adjacent pixels (Figures 3 and 6)."""

COLUMNS = ("mean", "low", "high", "minus_varsal", "minus_varsal_low", "minus_varsal_high")
VERDICTS = ("holds", "fails", "undecided")


class Results(NamedTuple):
    """All that was measured.

    Attributes:
        ids: of the pictures; a ranking of fewer has the first ones.
        shares: erased.
        measured: by ranking: `curve` "n shares" in nats, and `roughness` "n".
        encoders: fingerprints.
    """

    ids: Sequence[str]
    shares: Sequence[float]
    measured: Mapping[str, Mapping[str, np.ndarray]]
    encoders: Mapping[str, str]


class Summary(NamedTuple):
    """Intervals by ranking, one per share.

    Attributes:
        means: of the divergence.
        behind: the divergence minus that of VarSal's mean map on the same pictures.
    """

    means: Mapping[str, Sequence[Interval]]
    behind: Mapping[str, Sequence[Interval]]


class Claim(NamedTuple):
    """Something said of the maps; `gaps` are below 0 where it holds.

    Attributes:
        text: what is said; of an ordering the ranking that VarSal's mean map should be below.
        source: where the paper says so.
        gaps: one per share, or one alone.
    """

    text: str
    source: str
    gaps: Sequence[Interval]


def verdict(gap: Interval) -> str:
    """Of something that should be below 0, by its interval."""
    return VERDICTS[0 if gap.high < 0 else 1 if gap.low > 0 else 2]


def write_report(store: Store, results: Results) -> tuple[Summary, list[Table]]:
    """Writes table.md, table.csv and results.json; returns tables for the terminal, too."""
    curves = {name: columns["curve"] for name, columns in results.measured.items()}
    ours = curves[OURS]
    summary = Summary(
        {name: [interval(column) for column in curve.T] for name, curve in curves.items()},
        {
            name: [difference(*pair) for pair in zip(curve.T, ours[: len(curve)].T, strict=True)]
            for name, curve in curves.items()
            if name != OURS
        },
    )
    orderings = [
        Claim(name, source, [_minus(gap) for gap in summary.behind[name]])
        for name, source in ORDERINGS.items()
        if name in curves
    ]
    others = [*_nearing(results), *_smoothness(results)]
    _write_rows(store, results, summary)
    _write_results(store, results, orderings, others)
    heads = [f"{share:.0%}" for share in results.shares]
    means, behind = _means(results, summary, heads), _behind(summary, heads)
    held = [
        {f"{OURS} below": claim.text, "paper": claim.source}
        | {word: _where(claim, heads, word) for word in VERDICTS}
        for claim in orderings
    ]
    single = [
        {"claim": claim.text, "paper": claim.source, "verdict": verdict(claim.gaps[0])}
        | {"difference": claim.gaps[0].text(signed=True)}
        for claim in others
    ]
    told = {
        "KL(P(x) || P(x erased)) in nats, by the share of pixels erased, lowest first": means,
        "The same minus that of VarSal's mean map, same pictures [95% interval]": behind,
        "Orderings, by these intervals, at the shares": held,
        "Other claims": single,
    }
    text = "\n".join(f"{title}:\n\n{markdown_table(rows)}" for title, rows in told.items())
    write_text(store.out / "table.md", text)
    few = {"ranking", *heads[::2]}
    return summary, [
        terminal_table([{k: row[k] for k in row if k in few} for row in means], "KL, nats"),
        terminal_table(held, "Orderings, at the shares"),
        terminal_table(single, "Other claims"),
    ]


def _means(results: Results, summary: Summary, heads: Sequence[str]) -> list[dict[str, str]]:
    return [
        {"ranking": name, "pictures": str(len(results.measured[name]["curve"]))}
        | {head: f"{mean.value:.3f}" for head, mean in zip(heads, means, strict=True)}
        | {"roughness": f"{results.measured[name]['roughness'].mean():.3f}"}
        for name, means in summary.means.items()
    ]


def _behind(summary: Summary, heads: Sequence[str]) -> list[dict[str, str]]:
    return [
        {f"minus {OURS}": name}
        | {head: gap.text(signed=True) for head, gap in zip(heads, gaps, strict=True)}
        for name, gaps in summary.behind.items()
    ]


def _where(claim: Claim, heads: Sequence[str], word: str) -> str:
    """The shares of that verdict, neighbours as a range."""
    at = [i for i, gap in enumerate(claim.gaps) if verdict(gap) == word]
    runs = np.split(np.array(at, int), np.flatnonzero(np.diff(at) > 1) + 1) if at else []
    words = []
    for run in runs:
        first, last = heads[run[0]], heads[run[-1]]
        words.append(last if first == last else f"{first[:-1]}–{last}")  # noqa: RUF001
    return ", ".join(words)


def _minus(gap: Interval) -> Interval:
    return Interval(-gap.value, -gap.high, -gap.low)


def _nearing(results: Results) -> list[Claim]:
    """Is the distance of the means to the random control smaller at the last share than midway?"""
    found = []
    middle = len(results.shares) // 2
    for name in NEAR_RANDOM:
        if name in results.measured:
            curve = results.measured[name]["curve"]
            gap = results.measured["random"]["curve"][: len(curve)] - curve
            far = gap * np.sign(gap.mean(axis=0))
            text = f"{name} nearer to random at {results.shares[-1]:.0%} than at "
            text += f"{results.shares[middle]:.0%}"
            found.append(Claim(text, "text", [difference(far[:, -1], far[:, middle])]))
    return found


def _smoothness(results: Results) -> list[Claim]:
    rough = {name: columns["roughness"] for name, columns in results.measured.items()}
    return [
        Claim(f"{one} smoother than {other}", "text", [difference(rough[one], rough[other])])
        for one, other in SMOOTHER
        if {one, other} <= rough.keys()
    ]


def _write_rows(store: Store, results: Results, summary: Summary) -> None:
    rows = []
    for name, means in summary.means.items():
        gaps = summary.behind.get(name, [Interval(0.0, 0.0, 0.0)] * len(means))
        for share, mean, gap in zip(results.shares, means, gaps, strict=True):
            row = {"ranking": name, "pictures": len(results.measured[name]["curve"])}
            numbers = dict(zip(COLUMNS, (*mean, *gap), strict=True))
            rows.append(row | {"share": share} | {key: f"{x:.5g}" for key, x in numbers.items()})
    write_csv(store.out / "table.csv", rows)


def _write_results(
    store: Store, results: Results, orderings: Sequence[Claim], others: Sequence[Claim]
) -> None:
    def written(claims):
        return {
            claim.text: {"paper": claim.source}
            | {"gaps": [gap._asdict() | {"verdict": verdict(gap)} for gap in claim.gaps]}
            for claim in claims
        }

    found = {
        "settings": store.settings,
        "encoders": dict(results.encoders),
        "environment": environment(),
        "pictures": list(results.ids),
        "shares": list(results.shares),
        f"{OURS} below": written(orderings),
        "other claims": written(others),
    }
    write_text(store.out / "results.json", json.dumps(found, indent=2) + "\n")
