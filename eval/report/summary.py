"""Summarise a report in a few lines for the terminal."""

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from eval.report.page_tables import Findings
from eval.report.tables import terminal_table
from eval.report.wording import MARKS, VERDICTS, number


def summary(found: Findings) -> Iterator[RenderableType]:
    """Yield means with marks, the claims' verdicts, and what is missing."""
    heads = {key: of["label"] for key, of in found["numbers"].items()}
    rows = [
        {"row": str(of["label"])} | {heads[key]: _cell(found, key, row) for key in found["numbers"]}
        for row, of in found["rows"].items()
    ]
    if rows:
        yield terminal_table(rows, title=found["title"])
    if found["numbers"]:
        yield Text("★ best; by the paired difference ▼ worse, ▲ better, ≈ not told apart")
        yield Text("* not on all pictures")
    verdicts = [claim["verdict"] for claim in found["claims"]]
    if verdicts:
        counts = ", ".join(f"{name} {verdicts.count(name)}" for name in VERDICTS)
        yield Text(f"The paper's orderings: {counts}")
    if found["failures"]:
        yield Text(f"{found['progress']['failed']} failed")
    if not found["progress"]["finished"]:
        yield Text("The run is not finished: these numbers are of what is stored so far")


def _cell(found: Findings, key: str, row: str) -> str:
    of = found["numbers"][key]
    cell: dict[str, Any] = of["rows"][row]
    share = "" if cell["n"] == found["pictures"] else "*"
    return f"{number(cell['mean'], of['digits'])}{MARKS[cell['mark']]}{share}"
