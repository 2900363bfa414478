"""What a sanity run of VarSal measured: tables and figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eval.agreement import flat, ranks, spearman, ssim
from eval.intervals import Interval, difference, interval
from eval.protocols.varsal.randomise import level_title
from eval.report import Panel, markdown_table, panels
from eval.store import Store
from eval.subject import Drawn
from fidojax.runs import environment, write_csv, write_text

MEASURES = {"spearman": spearman, "ssim": ssim}
TITLES = {"spearman": "Spearman", "ssim": "SSIM"}
SUMMARY = ("Spearman", "Spearman, gradient", "SSIM", "SSIM, gradient")
"""What of the table goes to the terminal."""
SHOWN = 8
"""Pictures in the gallery."""


class Maps(NamedTuple):
    """What there is for one classifier.

    Attributes:
        maps: "n h w", means of its encoder.
        gradients: "n h w", absolute gradients of the class that the trained classifier reads.
        logits: "n k", of the classifier.
        losses: of each step of the encoder's training.
    """

    maps: np.ndarray
    gradients: np.ndarray
    logits: np.ndarray
    losses: np.ndarray


def write_report(
    store: Store,
    drawn: Drawn,
    names: Sequence[str],
    reference: Maps,
    levels: Mapping[int, Maps],
    depth: int,
) -> list[dict[str, str]]:
    """Writes tables and figures; returns what the terminal shows.

    Args:
        names: readable classes of the pictures.
        reference: of the trained classifier.
        levels: by how many layers are drawn anew; 0 is the reference's other seed.
        depth: how many layers there are.
    """
    agreements = {
        (count, kind, measure): of(getattr(reference, kind), getattr(maps, kind))
        for count, maps in levels.items()
        for kind in ("maps", "gradients")
        for measure, of in MEASURES.items()
    }
    floors = {
        measure: interval(of(reference.maps, np.roll(reference.maps, 1, axis=0)))
        for measure, of in MEASURES.items()
    }
    rows = [_row(count, reference, maps, agreements) for count, maps in levels.items()]
    found = {
        "settings": store.settings,
        "environment": environment(),
        "pictures": drawn.ids,
        "layers": depth,
        "other_pictures": {measure: floor._asdict() for measure, floor in floors.items()},
        "rows": rows,
    }
    write_text(store.out / "results.json", json.dumps(found, indent=2) + "\n")
    write_csv(
        store.out / "pictures.csv",
        [
            {"picture": name, "layers": count, "explainer": kind}
            | {m: f"{agreements[count, kind, m][i]:.5g}" for m in MEASURES}
            for count in levels
            for kind in ("maps", "gradients")
            for i, name in enumerate(drawn.ids)
        ],
    )
    lines = [_line(row, depth) for row in rows]
    write_text(store.out / "table.md", markdown_table(lines))
    _curves(store.out / "sanity.png", rows, floors, depth)
    _gallery(store.out / "gallery.png", drawn, names, reference, levels, depth)
    return [{name: line[name] for name in ("layers drawn anew", *SUMMARY)} for line in lines]


def _row(count: int, reference: Maps, maps: Maps, agreements: Mapping) -> dict:
    row: dict = {"layers": count}
    for measure in MEASURES:
        own = agreements[count, "maps", measure]
        row |= {
            measure: interval(own)._asdict(),
            f"{measure}_to_ceiling": difference(own, agreements[0, "maps", measure])._asdict(),
            f"{measure}_gradient": interval(agreements[count, "gradients", measure])._asdict(),
        }
    same = maps.logits.argmax(axis=1) == reference.logits.argmax(axis=1)
    return row | {
        "same_class": float(same.mean()),
        "logit_spread": float(maps.logits.std(axis=0).mean()),
        "loss": float(maps.losses[-max(1, len(maps.losses) // 10) :].mean()),
    }


def _line(row: Mapping, depth: int) -> dict[str, str]:
    line = {"layers drawn anew": level_title(row["layers"], depth)}
    for measure, title in TITLES.items():
        line |= {
            title: Interval(**row[measure]).text(),
            f"{title} - ceiling": Interval(**row[f"{measure}_to_ceiling"]).text(signed=True),
            f"{title}, gradient": Interval(**row[f"{measure}_gradient"]).text(),
        }
    return line | {
        "same class": f"{row['same_class']:.0%}",
        "spread of logits": f"{row['logit_spread']:.2f}",
        "loss": f"{row['loss']:.2f}",
    }


def _curves(path: Path, rows: Sequence[Mapping], floors: Mapping[str, Interval], depth: int):
    """Agreement by the number of layers, with 95% intervals."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
    at = np.arange(len(rows))
    for axis, (measure, title) in zip(axes, TITLES.items(), strict=True):
        lines = {"VarSal, encoder retrained": measure, "gradient": f"{measure}_gradient"}
        for place, (label, field) in enumerate(lines.items()):
            value, low, high = np.array([list(row[field].values()) for row in rows]).T
            error = np.maximum([value - low, high - value], 0)
            axis.errorbar(
                at + 0.06 * place, value, error, marker="o", ms=4, capsize=3,
                color=f"C{place}", label=label,
            )  # fmt: skip
        axis.axhline(1, color="0.4", ls="--", lw=1, label="VarSal, encoder not retrained")
        axis.axhline(
            floors[measure].value, color="C0", ls=":", lw=1, label="maps of other pictures"
        )
        axis.set_xticks(
            at, [level_title(row["layers"], depth).replace(", ", ",\n") for row in rows]
        )
        axis.set(title=title, xlabel="the classifier's layers drawn anew")
        axis.grid(axis="y", alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _gallery(
    path: Path,
    drawn: Drawn,
    names: Sequence[str],
    reference: Maps,
    levels: Mapping[int, Maps],
    depth: int,
) -> None:
    """The first pictures under every encoder, maps by rank."""
    stacks = {"reference": reference} | {level_title(n, depth): maps for n, maps in levels.items()}
    ranked = {
        title: ranks(flat(stack.maps[:SHOWN])).reshape(stack.maps[:SHOWN].shape)
        for title, stack in stacks.items()
    }
    columns = [
        Panel(drawn.images[i], names[i], {title: maps[i] for title, maps in ranked.items()})
        for i in range(min(SHOWN, len(drawn.images)))
    ]
    panels(path, columns)
