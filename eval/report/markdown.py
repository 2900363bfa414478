"""Write a report's tables as Markdown, to be pasted or committed."""

from collections.abc import Iterator, Sequence

from eval.report.comparison import FAILS, HOLDS, UNDECIDED
from eval.report.page_tables import Findings, like
from eval.report.tables import markdown_table
from eval.report.wording import MARKS, NOTHING, amount, bounds, by_verdict, number, titled

_WORDS = {HOLDS: "hold", FAILS: "fail", UNDECIDED: "are undecided"}


def markdown(found: Findings) -> str:
    """The command, numbers with intervals and marks, claims, tables and cost as Markdown."""
    return "\n".join(_parts(found))


def _parts(found: Findings) -> Iterator[str]:
    yield f"# {found['title']}\n"
    yield f"    {found['command']}\n"
    made = ", ".join(f"{name} {value}" for name, value in found["environment"].items())
    unfinished = "" if found["progress"]["finished"] else " The run is not finished."
    yield f"{found['pictures']} pictures.{unfinished} {made}.\n"
    yield f"{found['about']}\n"
    yield from (f"- {remark}" for remark in found["reading"])
    if found["numbers"]:
        yield "\n## Numbers\n"
        yield (
            "Mean over pictures with its 95% interval (bootstrap). ★ best; by the paired "
            "difference to the best ▼ worse, ▲ better, ≈ not told apart. In parentheses the "
            "number of pictures where not all have the number.\n"
        )
        yield markdown_table([_row(found, row) for row in found["rows"]])
    if found["claims"]:
        yield "\n## What holds, what fails, what is undecided\n"
        yield f"{_counts(found['claims'])}\n"
        yield markdown_table([_claim(found, claim) for claim in by_verdict(found["claims"])])
    for title, lines in found["tables"].items():
        yield f"\n## {title}\n"
        yield markdown_table(lines)
    if found["costs"]:
        yield "\n## Cost\n"
        yield markdown_table([_cost(row, of) for row, of in found["costs"].items()])
    if found["deviations"]:
        yield "\n## Otherwise than in the paper\n"
        yield from (f"- {deviation}" for deviation in found["deviations"])
    yield ""


def _row(found: Findings, row: str) -> dict[str, str]:
    line = {"row": str(found["rows"][row]["label"])}
    if any(of["like"] for of in found["rows"].values()):
        line["likeness to"] = like(found, row)
    line["pictures"] = str(found["progress"]["rows"][row]["maps"]["done"])
    for of in found["numbers"].values():
        cell = of["rows"][row]
        count = "" if cell["n"] in (0, found["pictures"]) else f" ({cell['n']})"
        value = number(cell["mean"], of["digits"])
        line[titled(of)] = (
            f"{value}{MARKS[cell['mark']]} {bounds(cell, of['digits'])}{count}".strip()
        )
    return line


def _counts(claims: Sequence[Findings]) -> str:
    verdicts = [claim["verdict"] for claim in claims]
    counts = ", ".join(f"{verdicts.count(name)} {words}" for name, words in _WORDS.items())
    return (
        f"Of the paper's {len(claims)} orderings {counts}: the 95% interval of the paired "
        "difference excludes 0 on the paper's side, excludes it on the other, or holds it."
    )


def _claim(found: Findings, claim: Findings) -> dict[str, str]:
    of, apart = found["numbers"][claim["number"]], claim["difference"]
    digits = of["digits"]
    difference = NOTHING
    if apart is not None:
        mean = number(apart["mean"], digits, signed=True)
        difference = f"{mean} {bounds(apart, digits, signed=True)} ({apart['n']})"
    return {
        "the paper says": claim["text"],
        "number": str(of["label"]),
        "published": claim["published"],
        "worse less better": difference,
        "here": f"**{claim['verdict']}**",
    }


def _cost(row: str, of: Findings) -> dict[str, str]:
    passes = of["passes"] or {"forward": NOTHING, "backward": NOTHING}
    taken = of["seconds"]["median"] if of["seconds"] else None
    return {
        "row": row,
        "maps timed": str(of["n"]),
        "each, median": amount(taken),
        "forward passes": f"{passes['forward']}",
        "backward passes": f"{passes['backward']}",
    }
