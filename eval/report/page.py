"""Write report.html: a whole run on one page that needs no other file."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

from eval.report import page_figures, page_tables
from eval.report.comparison import CONTROLS, ENOUGH
from eval.report.page_tables import Findings
from eval.report.reading import StoredRun
from eval.report.wording import VERDICTS, text


def page(run: StoredRun, found: Findings) -> str:
    """The HTML of a run's report."""
    parts = {
        "State": _state(found),
        "Numbers": _numbers(found),
        "Claims": _claims(found),
        "Distributions": page_figures.distributions(found),
        "Curves": page_figures.curves(found),
        "Tables": page_tables.own(found),
        "Figures": page_figures.own(run),
        "Gallery": page_figures.gallery(run, found),
        "Cost": page_tables.costs(found),
        "Failures": page_tables.failures(found) if found["failures"] else "<p>None.</p>",
        "Deviations": _points(found["deviations"]) or "<p>None are recorded.</p>",
        "Settings": _settings(found),
    }
    parts = {name: part for name, part in parts.items() if part}
    return _PAGE.substitute(
        name=text(found["name"]),
        title=text(found["title"] or found["name"]),
        reference=text(found["reference"]),
        about=text(found["about"]),
        facts=_facts(found),
        command=f"<pre>{text(found['command'])}</pre>" if found["command"] else "",
        reading=_reading(found),
        contents="".join(f'<a href="#{name.lower()}">{name}</a>' for name in parts),
        sections="\n".join(
            f'<section id="{name.lower()}"><h2>{name}</h2>{part}</section>'
            for name, part in parts.items()
        ),
    )


def _facts(found: Findings) -> str:
    state = "finished" if found["progress"]["finished"] else "not finished"
    facts = [f"{found['pictures']:,} pictures", f"{len(found['rows'])} rows", state]
    if found["failures"]:
        facts.append(f"{found['progress']['failed']:,} failed")
    return " · ".join(facts)


def _reading(found: Findings) -> str:
    points = _points(found["reading"])
    return f'<aside class="reading"><h2>Read this first</h2>{points}</aside>' if points else ""


def _state(found: Findings) -> str:
    rows, pictures = found["progress"]["rows"], found["progress"]["pictures"]
    table = page_tables.progress(found, list(rows))
    if found["progress"]["finished"]:
        line = "All rows have all their pictures"
        return f"<details><summary>{line}</summary>{table}</details>"
    lacking = [row for row, of in rows.items() if _lacks(of)]
    there = f"{len(rows) - len(lacking)} of {len(rows)} rows are complete"
    if pictures["missing"]:
        there += f", and {pictures['done']} of {pictures['expected']} pictures are stored"
    return (
        f'<p class="unfinished"><b>This run is not finished.</b> {there}. All that follows is of '
        f"what is stored so far.</p>{page_tables.progress(found, lacking) if lacking else ''}"
        f"<details><summary>All rows</summary>{table}</details>"
    )


def _lacks(of: Mapping[str, Any]) -> bool:
    return any(part["missing"] for part in (of["maps"], *of["scores"].values()))


def _numbers(found: Findings) -> str:
    return (
        "<p>Mean over pictures and its 95% interval (bootstrap, "
        f"{found['intervals']['resamples']:,} resamples); where not all pictures have the number, "
        "how many do. <b>★</b> best of the column; the others by their paired difference to it, "
        "on the pictures that both have: <b>▼</b> worse and <b>▲</b> better where its interval "
        "excludes 0, <b>≈</b> where it does not. Intervals are not corrected for their number. "
        f"The best is sought among rows with at least {ENOUGH:.0%} of the pictures that the "
        f"fullest row has; {CONTROLS} do not compete.</p>"
        f"{page_tables.main(found)}"
        "<details><summary>Paired differences to the best</summary>"
        f"{page_tables.differences(found)}</details>"
    )


def _claims(found: Findings) -> str:
    if not found["claims"]:
        return ""
    verdicts = [claim["verdict"] for claim in found["claims"]]
    counts = " · ".join(
        f'<span class="{name}">{mark} {name} {verdicts.count(name)}</span>'
        for name, mark in VERDICTS.items()
    )
    return (
        f'<p class="verdicts">{counts}</p><p>An ordering holds where the 95% interval of the '
        "paired difference excludes 0 on the paper's side, fails where it excludes 0 on the "
        f"other, and is undecided where it holds 0.</p>{page_tables.claims(found)}"
    )


def _settings(found: Findings) -> str:
    rows = "".join(
        f"<h4>{text(found['rows'][row]['label'])}</h4>"
        f"{_pairs({**cost['settings'], **cost['provenance']})}"
        for row, cost in found["costs"].items()
        if cost["settings"] or cost["provenance"]
    )
    return (
        f"{_pairs(found['settings'])}<h3>Environment</h3>{_pairs(found['environment'])}"
        f"<details><summary>Settings of every row</summary>{rows}</details>"
    )


def _pairs(values: Mapping[str, Any]) -> str:
    items = "".join(
        f"<dt>{text(name)}</dt><dd>"
        f"{text(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False))}</dd>"
        for name, one in values.items()
    )
    return f"<dl>{items}</dl>" if items else ""


def _points(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


_PAGE = Template(Path(__file__).with_name("page.html").read_text("utf-8"))
