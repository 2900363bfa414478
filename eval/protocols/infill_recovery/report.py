"""What an infill-recovery run measured, as tables."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.table import Table

from eval.intervals import Interval, difference, interval
from eval.report import Box, markdown_table, terminal_table
from eval.store import Store
from fidojax.runs import environment, write_csv, write_text

HEURISTICS = ("mean", "blur", "random", "local")
TRUTH = "picture"
"""The name of the infiller that puts back what was there."""
NUMBERS = ("probability", "absolute", "rms", "copied", "copied_within")
"""Fields of `fidojax.metrics.infill_quality.InfillQuality`, one number per picture."""


class Results(NamedTuple):
    """All that was measured.

    Attributes:
        ids, labels, right: of the pictures: names, classes, and whether they are classified right.
        titles: of each kind of holes.
        panels: the kinds that are compared.
        fills: names of the infillers; the truth is last.
        measured: by kind and infiller: `NUMBERS` and the share of `kept` pixels, one per picture;
            `drawn` and `drawn_mask`, filled pictures as uint8 and their masks, for a gallery.
    """

    ids: Sequence[str]
    labels: np.ndarray
    right: np.ndarray
    titles: Mapping[str, str]
    panels: Sequence[str]
    fills: Sequence[str]
    measured: Mapping[tuple[str, str], Mapping[str, np.ndarray]]

    @property
    def learned(self) -> list[str]:
        """Infillers with weights."""
        return [f for f in self.fills if kind_of(f) not in HEURISTICS and f != TRUTH]

    @property
    def heuristics(self) -> list[str]:
        return [f for f in self.fills if kind_of(f) in HEURISTICS]


def kind_of(fill: str) -> str:
    """Of local:5 local."""
    return fill.partition(":")[0]


class Comparison(NamedTuple):
    """A learned infiller against the best heuristic, by one statistic of the probability.

    Attributes:
        best: the heuristic with the highest statistic on the same pictures.
        ahead: the learned one's statistic minus the best one's.
    """

    pictures: str
    kind: str
    fill: str
    statistic: str
    best: str
    ahead: Interval


def write_report(store: Store, results: Results) -> list[Table]:
    """Writes report.md, pictures.csv and results.json; returns tables for the terminal."""
    subsets = {"all": np.ones_like(results.right), "classified right": results.right}
    subsets = {name: chosen for name, chosen in subsets.items() if chosen.sum() > 1}
    comparisons = [
        comparison
        for name, chosen in subsets.items()
        for comparison in _compare(results, name, chosen)
    ]
    probabilities = {name: _probabilities(results, chosen) for name, chosen in subsets.items()}
    _write_pictures(store, results)
    _write_results(store, results, subsets, comparisons)
    lines = [
        "# Infill recovery",
        f"{len(results.ids)} pictures of {store.settings['images']}, of which "
        f"{store.settings['classifier'].split()[0]} classifies {results.right.sum()} right; seed "
        f"{store.settings['seed']}. Every infiller fills the same holes; the row *{TRUTH}* has the "
        "true pixels in them. Intervals are 95%, percentile bootstrap over pictures.",
        "## The class's probability after infill (FIDO Figure 16)",
        "![Box plots of the probability of the class](probability.png)",
    ]
    for name, rows in probabilities.items():
        lines += [f"{name.capitalize()}: median (quartiles); mean.", markdown_table(rows)]
    if comparisons:
        lines += ["## Learned infillers against the best heuristic", *_verdicts(comparisons)]
        lines += [
            "The difference of the probability's mean or median to that of the heuristic which is "
            "the best on the same holes and pictures; paired.",
            markdown_table([_row(results, comparison) for comparison in comparisons]),
        ]
    errors = ("absolute", "mean absolute error"), ("rms", "root mean square error")
    copies = (
        ("copied", "of the nearest kept pixel"), ("copied_within", "of any in a window of 15"),
    )  # fmt: skip
    lines += [
        "## Error on the dropped pixels, in [0, 1]",
        *(_means(results, field, title) for field, title in errors),
        "## Share of the dropped pixels that are naive copies",
        "Infilled colours within 2/255 per channel of a kept pixel's. Smooth pictures have many of "
        f"them by nature: the row *{TRUTH}* says how many.",
        *(_means(results, field, title) for field, title in copies),
        "## By the share of kept pixels",
        "![Probability, error and copies by the share of kept pixels](rates.png)",
        _means(results, "probability", "mean p(class)"),
        "## Filled pictures (FIDO Figure 3)",
        *(f"![{results.titles[kind]}](gallery_{kind}.png)" for kind in results.panels),
    ]
    write_text(store.out / "report.md", "\n\n".join(line.rstrip("\n") for line in lines) + "\n")
    tables = [terminal_table(rows, f"p(class), {name}") for name, rows in probabilities.items()]
    if comparisons:
        rows = [_row(results, comparison) for comparison in comparisons]
        tables.append(terminal_table(rows, "Learned infillers against the best heuristic"))
    return tables


def _probabilities(results: Results, chosen: np.ndarray) -> list[dict[str, str]]:
    rows = []
    for fill in results.fills:
        row = {"infill": fill}
        for kind in results.panels:
            values = results.measured[kind, fill]["probability"][chosen]
            row[results.titles[kind]] = f"{Box.of(values).text(3)}; {values.mean():.3f}"
        rows.append(row)
    return rows


def _compare(results: Results, name: str, chosen: np.ndarray) -> list[Comparison]:
    found = []
    for statistic, of in (("mean", np.mean), ("median", np.median)):
        for fill in results.learned if results.heuristics else ():
            for kind in results.panels:
                values = {
                    f: results.measured[kind, f]["probability"][chosen]
                    for f in (*results.heuristics, fill)
                }
                best = max(results.heuristics, key=lambda f: of(values[f]))
                ahead = difference(values[fill], values[best], statistic)
                found.append(Comparison(name, kind, fill, statistic, best, ahead))
    return found


def _verdicts(comparisons: Sequence[Comparison]) -> list[str]:
    """One sentence per learned infiller: is it above all heuristics on each kind of holes?"""
    sentences = []
    for fill in dict.fromkeys(c.fill for c in comparisons):
        own = [c for c in comparisons if c.fill == fill]
        words = {"above": 0, "below": 0, "not told apart from": 0}
        for c in own:
            word = "above" if c.ahead.low > 0 else "below" if c.ahead.high < 0 else ""
            words[word or "not told apart from"] += 1
        told = ", ".join(f"{word} it in {n}" for word, n in words.items() if n)
        sentences.append(f"{fill} against the best heuristic, {len(own)} comparisons: {told}.")
    return sentences


def _row(results: Results, comparison: Comparison) -> dict[str, str]:
    return {
        "infill": comparison.fill,
        "holes": results.titles[comparison.kind],
        "pictures": comparison.pictures,
        "of the": comparison.statistic,
        "best heuristic": comparison.best,
        "difference": comparison.ahead.text(signed=True),
    }


def _means(results: Results, field: str, title: str) -> str:
    """A table of one number, averaged over pictures, for each kind of holes."""
    return markdown_table([
        {title: fill}
        | {
            results.titles[kind]: f"{np.nanmean(results.measured[kind, fill][field]):.3f}"
            for kind in results.titles
        }
        for fill in results.fills
    ])  # fmt: skip


def _write_pictures(store: Store, results: Results) -> None:
    rows = []
    for (kind, fill), columns in results.measured.items():
        for i, name in enumerate(results.ids):
            numbers = {key: f"{columns[key][i]:.5g}" for key in ("kept", *NUMBERS)}
            right = bool(results.right[i])
            row = {"picture": name, "label": int(results.labels[i]), "classified right": right}
            rows.append(row | {"holes": kind, "infill": fill} | numbers)
    write_csv(store.out / "pictures.csv", rows)


def _write_results(
    store: Store,
    results: Results,
    subsets: Mapping[str, np.ndarray],
    comparisons: Sequence[Comparison],
) -> None:
    rows = [
        {"pictures": name, "count": int(chosen.sum()), "holes": kind, "infill": fill}
        | {
            field: Box.of(columns[field][chosen])._asdict()
            | {"mean": interval(columns[field][chosen])._asdict()}
            for field in NUMBERS
        }
        for name, chosen in subsets.items()
        for (kind, fill), columns in results.measured.items()
    ]
    found = {
        "settings": store.settings,
        "environment": environment(),
        "rows": rows,
        "comparisons": [c._asdict() | {"ahead": c.ahead._asdict()} for c in comparisons],
    }
    write_text(store.out / "results.json", json.dumps(found, indent=2) + "\n")
