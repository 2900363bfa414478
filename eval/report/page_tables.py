"""Write the page's tables as HTML."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval.report.wording import (
    DIRECTIONS,
    MARKS,
    NOTHING,
    OTHERS,
    VERDICTS,
    amount,
    bounds,
    by_verdict,
    number,
    text,
    titled,
)

Findings = Mapping[str, Any]
SHOWN = 5
"""Pictures that are named for each reason of failure."""


def table(heads: Sequence[str], rows: Iterable[str], kind: str = "") -> str:
    """A table in a box that scrolls; heads that start with # stand over numbers."""
    head = "".join(
        f'<th class="number">{name[1:]}</th>' if name.startswith("#") else f"<th>{name}</th>"
        for name in heads
    )
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def main(found: Findings) -> str:
    """Rows by numbers: mean, interval, mark, published value, and the count where not all."""
    heads = ["row", *("#" + _head(of) for of in found["numbers"].values())]
    lines, group = [], ""
    for row, of in found["rows"].items():
        if of["group"] != group:
            group = of["group"]
            head = f'<th colspan="{len(heads)}"><span>{text(group or OTHERS)}</span></th>'
            lines.append(f'<tr class="group">{head}</tr>')
        notes = [of["why"], like(found, row) and f"likeness to {like(found, row)}"]
        why = "".join(f'<small class="why">{text(note)}</small>' for note in notes if note)
        cells = "".join(_cell(found, key, row) for key in found["numbers"])
        lines.append(f"<tr><th>{text(of['label'])}{why}</th>{cells}</tr>")
    return table(heads, lines, "main")


def like(found: Findings, row: str) -> str:
    """The label of the row with whose maps this row's are compared; "" where there is none."""
    reference = found["rows"][row]["like"]
    return reference and _label(found, reference)


def differences(found: Findings) -> str:
    """The paired differences behind the marks: every row minus the best of the number."""
    compared = [key for key, of in found["numbers"].items() if of["best"]]
    lines = []
    for row, of in found["rows"].items():
        cells = [f"<td>{text(of['label'])}</td>"]
        for key in compared:
            cell, digits = found["numbers"][key]["rows"][row], found["numbers"][key]["digits"]
            apart = cell["difference"]
            if apart is None:
                cells.append(f'<td class="number" data-value="0">{MARKS[cell["mark"]]}</td>')
                continue
            cells.append(
                f'<td class="number" data-value="{_data(apart["mean"])}">'
                f"{number(apart['mean'], digits, signed=True)} {_mark(cell)}"
                f"<small>{bounds(apart, digits, signed=True)}</small>"
                f"{_share(apart['n'], found['pictures'])}</td>"
            )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    heads = [
        f"#{text(found['numbers'][key]['label'])} "
        f"<small>less {text(_label(found, found['numbers'][key]['best']))}</small>"
        for key in compared
    ]
    return table(["row", *heads], lines)


def claims(found: Findings) -> str:
    """The paper's orderings: those that hold here, that fail, and that are undecided."""
    lines = []
    for claim in by_verdict(found["claims"]):
        of = found["numbers"].get(claim["number"], {"label": claim["number"], "digits": 3})
        apart, verdict = claim["difference"], claim["verdict"]
        digits = of["digits"]
        pair = " − ".join(text(_label(found, claim[side])) for side in ("worse", "better"))  # noqa: RUF001
        lines.append(
            f'<tr><td class="{verdict}"><b>{VERDICTS[verdict]} {verdict}</b></td>'
            f"<td>{text(claim['text'])}</td><td>{text(of['label'])}"
            f"<small>{DIRECTIONS[of.get('better', 'none')]}</small></td>"
            f'<td class="number" data-value="{_data(apart["mean"])}">'
            f"{number(apart['mean'], digits, signed=True)}"
            f"<small>{bounds(apart, digits, signed=True) or NOTHING}</small>"
            f'<small class="why">{pair}</small></td>'
            f'<td class="number" data-value="{apart["n"]}">{apart["n"]}</td>'
            f"<td>{text(claim['published'])}</td></tr>"
        )
    heads = ["here", "the paper says", "number", "#worse less better", "#pictures", "published"]
    return table(heads, lines, "claims")


def costs(found: Findings) -> str:
    """Method, options, time and passes of each row."""
    lines = []
    for row, of in found["rows"].items():
        cost = found["costs"][row]
        box = cost["seconds"]
        spread = f"<small>{amount(box['q1'])} to {amount(box['q3'])}</small>" if box else ""
        median = box["median"] if box else None
        passes = of["passes"] or {}
        counts = "".join(_plain(passes.get(way)) for way in ("forward", "backward"))
        lines.append(
            f'<tr><td>{text(of["label"])}</td><td class="long">{text(of["method"])}'
            f"<small>{text(of['options'])}</small></td>"
            f'<td class="number" data-value="{_data(median)}">{amount(median)}{spread}</td>'
            f'<td class="number" data-value="{_data(cost["total"])}">{amount(cost["total"])}</td>'
            f"{counts}{_plain(cost['n'])}</tr>"
        )
    heads = [
        "row", "method and options", "#time per picture <small>median, quartiles</small>",
        "#total", "#passes forward", "#passes backward", "#pictures",
    ]  # fmt: skip
    return table(heads, lines)


def failures(found: Findings) -> str:
    """Failures by row and reason."""
    lines = []
    for of in found["failures"]:
        names, parts = ", ".join(of["pictures"][:SHOWN]), ", ".join(of["parts"])
        more = len(of["pictures"]) - SHOWN
        lines.append(
            f'<tr><td>{text(_label(found, of["row"]))}</td><td class="long">{text(parts)}</td>'
            f'<td class="long">{text(of["reason"])}</td>{_plain(len(of["pictures"]))}'
            f'<td class="long">{text(names)}{f" and {more} more" if more > 0 else ""}</td></tr>'
        )
    return table(["row", "parts", "reason", "#pictures", "which"], lines)


def progress(found: Findings, rows: Sequence[str]) -> str:
    """The number of pictures in every part of these rows."""
    state = found["progress"]["rows"]
    sets = list(dict.fromkeys(name for row in rows for name in state[row]["scores"]))
    lines = [
        f"<tr><td>{text(_label(found, row))}</td>"
        + "".join(map(_part, (state[row]["maps"], *map(state[row]["scores"].get, sets))))
        + "</tr>"
        for row in rows
    ]
    return table(["row", "#maps", *(f"#scores {text(name)}" for name in sets)], lines)


def _head(of: Mapping[str, Any]) -> str:
    return f"{text(titled(of))}<small>{DIRECTIONS[of['better']]}</small>"


def _cell(found: Findings, key: str, row: str) -> str:
    of, cell = found["numbers"][key], found["numbers"][key]["rows"][row]
    digits, paper = of["digits"], cell["published"]
    best = ' class="value best"' if row == of["best"] else ' class="value"'
    published = f'<small class="paper">paper {number(paper, digits)}</small>'
    return (
        f'<td class="number" data-value="{_data(cell["mean"])}">'
        f"<span{best}>{number(cell['mean'], digits)} {_mark(cell)}</span>"
        f"<small>{bounds(cell, digits)}</small>"
        f"{'' if paper is None else published}{_share(cell['n'], found['pictures'])}</td>"
    )


def _mark(cell: Mapping[str, Any]) -> str:
    names = {"best": "best", "worse": "worse than the best", "better": "better than the best",
             "same": "cannot be told from the best"}  # fmt: skip
    kind = cell["mark"]
    return f'<abbr class="mark {kind}" title="{names[kind]}">{MARKS[kind]}</abbr>' if kind else ""


def _share(count: int, pictures: int) -> str:
    return "" if count == pictures else f'<small class="share">{count} of {pictures}</small>'


def own(found: Findings) -> str:
    """The study's own tables, each under its title."""
    parts = []
    for title, lines in found["tables"].items():
        cells = ("".join(f"<td>{text(value)}</td>" for value in line.values()) for line in lines)
        heads = [text(head) for head in lines[0]]
        parts.append(f"<h3>{text(title)}</h3>{table(heads, (f'<tr>{row}</tr>' for row in cells))}")
    return "".join(parts)


def _part(part: Mapping[str, int] | None) -> str:
    if part is None:
        return f'<td class="number" data-value="">{NOTHING}</td>'
    failed = f'<small class="share">{part["failed"]} failed</small>' if part["failed"] else ""
    whole = part["missing"] == 0
    return (
        f'<td class="number{"" if whole else " lacking"}" data-value="{part["done"]}">'
        f"{part['done']} of {part['expected']}{failed}</td>"
    )


def _plain(count: int | None) -> str:
    shown = NOTHING if count is None else f"{count:,}"
    return f'<td class="number" data-value="{_data(count)}">{shown}</td>'


def _data(value: float | None) -> str:
    return "" if value is None else repr(value)


def _label(found: Findings, row: str | None) -> str:
    if row is None:
        return "all"
    return str(found["rows"][row]["label"]) if row in found["rows"] else row
