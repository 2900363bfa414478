"""The rows of `benchmarks.peers` and their Markdown table."""

import dataclasses
from typing import Any

from benchmarks.machine import sentence
from eval.report import markdown_table


@dataclasses.dataclass(frozen=True)
class PeerRow:
    """One method of fidojax and its peer.

    Attributes:
        name: of the method or metric.
        peer: name of the peer.
        here, there: seconds per picture of fidojax and of the peer.
        ratio: the median over the rounds of there / here.
        low, high: the smallest and the largest ratio of a round.
        form_here, form_there: the fastest forms, which are those measured.
        forwards_here, forwards_there: pictures through the network per map.
        correlation: the lowest correlation of a picture's two maps.
        difference: the largest difference of two maps, relative to the largest value of
            fidojax's; None where each side draws random numbers.
    """

    name: str
    peer: str
    here: float
    there: float
    ratio: float
    low: float
    high: float
    form_here: str
    form_there: str
    forwards_here: int
    forwards_there: float
    correlation: float
    difference: float | None


def markdown(rows: list[PeerRow], facts: dict[str, Any]) -> str:
    """Return the command, the machine and the table."""
    lines = [f"    {facts['command']}", "", sentence(facts, f"PyTorch on {facts['torch']}"), ""]
    return "\n".join(lines) + "\n" + markdown_table([_cells(row) for row in rows])


def _cells(row: PeerRow) -> dict[str, str]:
    return {
        "": row.name,
        "beside": row.peer,
        "ms per picture": f"{1e3 * row.here:.3g} ({row.form_here})",
        "there": f"{1e3 * row.there:.3g}",
        "x its speed": f"**{row.ratio:.2f}**",
        "rounds": f"{row.low:.2f} to {row.high:.2f}",
        "forward passes here / there": f"{row.forwards_here} / {row.forwards_there:g}",
        "lowest correlation": f"{row.correlation:.5f}",
        "largest difference": "drawn" if row.difference is None else f"{row.difference:.1e}",
        "fastest form there": row.form_there,
    }
