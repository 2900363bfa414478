"""The table of networks in docs/models.md, from the rows that were stored."""

import string
from typing import Any

from fidojax.methods import METHOD_ROWS

HEAD = (
    "| network | of, by | pictures | traced | refused | run | DeepLIFT's gap |"
    " in float64 | integrated gradients' gap | one gradient |"
)


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table in Markdown, and the sentences that it refers to."""
    traced = {(r["library"], r["name"]): r for r in rows if r["kind"] == "traced"}
    run = {(r["library"], r["name"]): r for r in rows if r["kind"] == "measured"}
    notes: dict[str, str] = {}
    table = [
        row(name, found, run.get((library, name)), notes)
        for (library, name), found in traced.items()
    ]
    tried = sum(len(r.get("methods", {})) for r in traced.values())
    works = sum(not says for r in traced.values() for says in r.get("methods", {}).values())
    return [
        f"{len(traced)} networks, {tried} pairs of a network and a method traced: {works} work,"
        f" {tried - works} are refused. {len(run)} networks were run.",
        "",
        HEAD,
        "|" + 10 * " --- |",
        *table,
        "",
        *(f"- {letter}: {sentence}" for sentence, letter in notes.items()),
    ]


def row(
    name: str, traced: dict[str, Any], run: dict[str, Any] | None, notes: dict[str, str]
) -> str:
    """Return the row of a network; sentences that are new are added to the notes."""
    start = f"| {name} | {traced['library']}, `{traced['adapter']}` | {traced['side']}² |"
    if "failed" in traced:
        return f"{start} not built: {note(traced['failed'], notes)} | | | | | | |"
    methods = traced["methods"]
    refused: dict[str, list[str]] = {}
    for method, says in methods.items():
        if says:
            kind = "attention methods" if METHOD_ROWS[method].attention else f"`{method}`"
            refused.setdefault(note(says, notes), []).append(kind)
    said = "; ".join(f"{', '.join(dict.fromkeys(m))}: {k}" for k, m in refused.items()) or "none"
    grid = f", grid {traced['grid'][0]} by {traced['grid'][1]}" if traced.get("grid") else ""
    start = f"{start[:-2]}{grid} | {sum(not s for s in methods.values())} of {len(methods)} |"
    if run is None or "methods" not in run:
        return f"{start} {said} | no | | | | |"
    cells = run["methods"]
    finite = sum(bool(c.get("finite")) for c in cells.values())
    asked = sum("refused" not in c for c in cells.values())
    wide = f"{run['float64']:.0e}" if "float64" in run else ""
    gaps = f"{gap(cells['deeplift'])} | {wide} | {gap(cells['integrated_gradients'])}"
    seconds = f"{1000 * run['gradient_s']:.1f} ms"
    return f"{start} {said} | {finite} of {asked} finite | {gaps} | {seconds} |"


def gap(cell: dict[str, Any]) -> str:
    """Return the gap as a share of the sum of the contributions' sizes."""
    return f"{abs(cell['gap']) / cell['size']:.0e}" if "gap" in cell else ""


def note(sentence: str, notes: dict[str, str]) -> str:
    """Return the letter of a sentence."""
    return notes.setdefault(sentence, string.ascii_lowercase[len(notes)])
