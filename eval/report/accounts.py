"""What a run did: how far it is, what failed and why, and what it cost."""

from collections import defaultdict
from typing import Any

import numpy as np

from eval.report.reading import StoredRun
from eval.report.tables import Box
from fidojax.runs import DONE, Ledger


def progress(run: StoredRun) -> dict[str, Any]:
    """The counts of pictures, and of every row's maps and sets of scores."""
    rows = {}
    for row in run.study["rows"]:
        maps = run.explained.get(row)
        rows[row] = {
            "maps": _counts(maps, run.expected(row)),
            "scores": {
                name: _counts(run.scored.get((name, row)), run.expected(row, name), maps)
                for name in run.sets
                if run.folder(row, name) is not None
            },
        }
    parts = [part for of in rows.values() for part in (of["maps"], *of["scores"].values())]
    pictures = _counts(run.pictures, len(run))
    return {
        "pictures": pictures,
        "rows": rows,
        "finished": all(part["missing"] == 0 for part in (pictures, *parts)),
        "failed": sum(len(failed) for failed in _failed(run)),
    }


def failures(run: StoredRun) -> list[dict[str, Any]]:
    """The pictures without a result and the parts that lack it, by row and reason."""
    ledgers: dict[tuple[str | None, str], Ledger] = {(None, "pictures"): run.pictures}
    for row in run.study["rows"]:
        ledgers |= {(row, "maps"): run.explained[row]} if row in run.explained else {}
        ledgers |= {(row, s): run.scored[s, row] for s in run.sets if (s, row) in run.scored}
    # A picture without a map has no scores either: one entry is enough.
    parts = defaultdict(list)
    for (row, part), ledger in ledgers.items():
        reasons = defaultdict(list)
        for at, reason in ledger.problems.items():
            reasons[reason].append(at)
        for reason, pictures in reasons.items():
            parts[row, reason, tuple(pictures)].append(part)
    ids = run.pictures.ids
    return [
        {
            "row": row,
            "parts": names,
            "reason": reason,
            "pictures": [ids[at] or f"picture {at}" for at in pictures],
        }
        for (row, reason, pictures), names in parts.items()
    ]


def costs(run: StoredRun) -> dict[str, Any]:
    """Each row's seconds per picture, and what its maps were made with."""
    found = {}
    for row, of in run.study["rows"].items():
        ledger = run.explained.get(row)
        seconds = np.array([])
        if ledger is not None and "seconds" in ledger.names:
            seconds = ledger.read("seconds").astype(np.float64)
            seconds = seconds[(ledger.status == DONE) & np.isfinite(seconds)]
        box = Box.of(seconds) if len(seconds) else None
        found[row] = {
            "n": len(seconds),
            "seconds": box and box._asdict(),
            "total": float(seconds.sum()) if len(seconds) else None,
            "passes": of["passes"],
            "provenance": {} if ledger is None else ledger.provenance,
            "settings": {} if ledger is None else ledger.settings,
        }
    return found


def _failed(run: StoredRun) -> list[set[int]]:
    """The pictures that could not be read, and for each row those of which anything failed."""
    rows = {row: [ledger] for row, ledger in run.explained.items()}
    for (_, row), ledger in run.scored.items():
        rows.setdefault(row, []).append(ledger)
    parts = [[run.pictures], *rows.values()]
    return [{at for ledger in part for at in ledger.problems} for part in parts]


def _counts(ledger: Ledger | None, expected: int, maps: Ledger | None = None) -> dict[str, int]:
    """The counts of one part; pictures whose map failed have no scores, so they failed too."""
    done, failed = set(), {*(maps.problems if maps is not None else ())}
    if ledger is not None:
        done = {*np.flatnonzero(ledger.status[:expected] == DONE).tolist()}
        failed = (failed | {*ledger.problems}) - done
    failed = {at for at in failed if at < expected}
    return {
        "expected": expected,
        "done": len(done),
        "failed": len(failed),
        "missing": expected - len(done) - len(failed),
    }
