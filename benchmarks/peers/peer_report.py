"""The rows of `benchmarks.peers`, and the table that they make."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class PeerRow:
    """One method here and there.

    Attributes:
        name: of the method or metric here.
        peer: what it is compared with.
        here, there: seconds per picture.
        ratio: the median over the rounds of there / here.
        low, high: the smallest and the largest of the rounds.
        form_here, form_there: the fastest forms, which were measured.
        forwards_here, forwards_there: pictures through the network per map.
        correlation: the lowest of any picture's two maps.
        difference: the largest between two maps, relative to the largest value here; None where
            both sides draw for themselves.
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


TITLES = (
    "", "beside", "ms per picture", "there", "x its speed", "rounds", "forward passes here / there",
    "lowest correlation", "largest difference", "fastest form there",
)  # fmt: skip


def markdown(rows: list[PeerRow], facts: dict[str, Any]) -> str:
    """The command, the machine and the table."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"    {facts['command']}",
        "",
        f"{facts['device']}, {facts['cores']} cores; PyTorch on {facts['torch']}; {versions};"
        f" {facts['system']}; {facts['date']}",
        "",
        _line(TITLES),
        _line(["---"] * len(TITLES)),
        *(_line(_cells(row)) for row in rows),
    ]
    return "\n".join(lines)


def _cells(row: PeerRow) -> tuple[str, ...]:
    return (
        row.name,
        row.peer,
        f"{1e3 * row.here:.3g} ({row.form_here})",
        f"{1e3 * row.there:.3g}",
        f"**{row.ratio:.2f}**",
        f"{row.low:.2f} to {row.high:.2f}",
        f"{row.forwards_here} / {row.forwards_there:g}",
        f"{row.correlation:.5f}",
        "drawn" if row.difference is None else f"{row.difference:.1e}",
        row.form_there,
    )


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"
