"""How the page and the terminal write numbers, counts and marks."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

from eval.report.comparison import BEST, BETTER, FAILS, HOLDS, SAME, UNDECIDED, WORSE

NOTHING = "\N{EM DASH}"
OTHERS = "others"
"""Rows without a group."""
MARKS = {BEST: "★", WORSE: "▼", BETTER: "▲", SAME: "≈", None: ""}
VERDICTS = {HOLDS: "✓", FAILS: "✗", UNDECIDED: "?"}
DIRECTIONS = {"low": "↓ lower is better", "high": "↑ higher is better", "none": ""}


def text(value: Any) -> str:
    """The value as text, escaped for HTML."""
    return html.escape(str(value))


def number(value: float | None, digits: int, *, signed: bool = False) -> str:
    """A number as text; a dash for None."""
    if value is None:
        return NOTHING
    plain = f"{value:{'+' if signed else ''},.{digits}f}"
    return plain.replace("-", "\N{MINUS SIGN}")


def bounds(of: Mapping[str, Any], digits: int, *, signed: bool = False) -> str:
    """The interval as "[low, high]"; empty where there is none."""
    if of["low"] is None:
        return ""
    low, high = (number(of[end], digits, signed=signed) for end in ("low", "high"))
    return f"[{low}, {high}]"


def amount(seconds: float | None) -> str:
    """A time as text, in the unit that suits it."""
    if seconds is None:
        return NOTHING
    for unit, size in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{1000 * seconds:.3g} ms"


def titled(of: Mapping[str, Any]) -> str:
    """A number's label with its unit."""
    return f"{of['label']} ({of['unit']})" if of.get("unit") else str(of["label"])


def by_verdict(claims: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The claims that hold, those that fail, and the undecided ones, each in their order."""
    return sorted(claims, key=lambda claim: [*VERDICTS].index(claim["verdict"]))
