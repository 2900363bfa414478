"""index.html: all results of a folder on one page, without any outside resource."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from string import Template
from typing import Any
from urllib.parse import quote

from fidojax.cli.job import Job
from fidojax.cli.page_table import anchor, table, text
from fidojax.cli.records import EXPLAINED, ResultsFolder
from fidojax.data import BadPicture
from fidojax.runs import versions


def page(runs: Mapping[str, Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> str:
    """Return the HTML of a folder of results.

    Args:
        runs: the runs by settings digest, as `ResultsFolder.store_run` stored them.
        records: the records of all pictures.
    """
    explained = [record for record in records if record["status"] == EXPLAINED]
    # The settings that were used last come first.
    order = sorted(runs, key=lambda digest: runs[digest].get("updated", ""), reverse=True)
    titles = _titles([runs[digest]["settings"] for digest in order])
    sections = [
        _section(title, runs[digest], [r for r in explained if r["settings_digest"] == digest])
        for title, digest in zip(titles, order, strict=True)
    ]
    failures = sum(len(run["failures"]) for run in runs.values())
    summary = f"{len(explained)} explanation{'' if len(explained) == 1 else 's'}"
    if len(order) > 1:
        summary += f" with {len(order)} different settings"
    if failures:
        summary += f", {failures} failed"
    return _PAGE.substitute(summary=summary, sections="\n".join(sections))


def _titles(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A heading for each run, with the details that distinguish similar runs."""
    plain = [_title(one) for one in settings]
    titles = []
    for title, one in zip(plain, map(_flat, settings), strict=True):
        alike = [_flat(s) for t, s in zip(plain, settings, strict=True) if t == title]
        telling = [name for name in one if any(other.get(name) != one[name] for other in alike)]
        titles.append(" · ".join([title, *(f"{name} {_plain(one[name])}" for name in telling)]))
    return titles


def _title(settings: Mapping[str, Any]) -> str:
    parts = (
        settings["method"],
        settings["options"].get("objective"),
        settings["infill"] and f"infill {_several(settings['infill'])}",
        settings["preset"] and f"preset {settings['preset']}",
        settings["classifier"],
        settings["target"] != "prediction" and f"target {_plain(settings['target'])}",
    )
    return " · ".join(str(part) for part in parts if part)


def _several(names: str | Sequence[str]) -> str:
    return names if isinstance(names, str) else " and ".join(names)


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings and the method's options in one mapping."""
    return {**{k: v for k, v in settings.items() if k != "options"}, **settings["options"]}


def _section(title: str, run: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    failures = "".join(
        f"<li><code>{text(bad['source'])}</code>: {text(bad['reason'])}</li>"
        for bad in run["failures"]
    )
    return _SECTION.substitute(
        title=text(title),
        settings=_settings(run),
        failures=f'<div class="failed"><h3>Failed</h3><ul>{failures}</ul></div>'
        if failures
        else "",
        table=table(records) if records else "<p>No explanations.</p>",
        cards="\n".join(map(_card, records)),
    )


def _settings(run: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    rows = {name: value for name, value in _flat(run["settings"]).items() if name != "fidojax"}
    rows |= {"versions": versions, "last run": run["updated"]}
    return "".join(
        f"<dt>{text(name)}</dt><dd>{text(_plain(value))}</dd>" for name, value in rows.items()
    )


def _card(record: Mapping[str, Any]) -> str:
    files = record["files"]
    place = record.get("map")  # records of older versions have none
    links = [f"map: row {place['row']} of {text(place['ledger'])}"] if place else []
    links.append(f'<a href="records/{quote(record["name"])}.json">record</a>')
    saved = (kind for kind in files if files[kind].startswith("maps/"))
    links += [f'<a href="{quote(files[kind])}" download>{text(kind)}</a>' for kind in saved]
    label = record["label"]
    truth = f" · label: {text(label['name'] or label['index'])}" if label else ""
    drawn = ""
    for kind in (kind for kind in files if files[kind].startswith("figures/")):
        source = quote(files[kind])
        uncertain = record.get("mean_standard_deviation") is not None
        held = (record.get("region") or {}).get("area") is not None
        last = "the region alone and taken away" if held else "mixture"
        what = f"Image, saliency map, overlay and {'standard deviation' if uncertain else last}"
        what = what if kind == "figure" else kind.capitalize()
        alt = text(f"{what} of {record['id']}")
        drawn += f'<a href="{source}"><img src="{source}" alt="{alt}" loading="lazy"></a>'
    warned = "".join(f"<p>{text(one)}</p>" for one in record.get("warnings") or ())
    drawn += f'<div class="warned">{warned}</div>' if warned and not drawn else ""
    return (
        f'<figure id="{anchor(record)}">{drawn}<figcaption><b>{text(record["id"])}</b> · '
        f"{text(record['source'])}{truth} · {' · '.join(links)}</figcaption></figure>"
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_SECTION = Template("""\
<section>
<h2>$title</h2>
<details><summary>Settings</summary><dl>$settings</dl></details>
$failures
<div class="wide">$table</div>
$cards
</section>""")

_PAGE = Template(resources.files("fidojax.cli").joinpath("page.html").read_text("utf-8"))


def write_index(
    results: ResultsFolder,
    job: Job,
    shard: tuple[int, int],
    failures: Sequence[BadPicture],
    compiling: float = 0.0,
) -> None:
    """Write the run's file and index.html.

    A failure is listed until the same file has been explained.

    Args:
        results: the folder of results.
        job: the job of the run.
        shard: (index, number of shards).
        failures: the failures of this run so far.
        compiling: the seconds in which this run compiled programs.
    """
    records = list(results.records())
    explained = {
        record["source"]
        for record in records
        if record["status"] == EXPLAINED and record["settings_digest"] == job.digest
    }

    def with_ours(before: Sequence[dict[str, str]]) -> list[dict[str, str]]:
        found = {bad["source"]: bad for bad in before if bad["source"] not in explained}
        ours = [{"source": bad.source, "reason": bad.reason} for bad in failures]
        return list((found | {bad["source"]: bad for bad in ours}).values())

    results.store_run(
        job.digest, shard,
        {
            "settings": dict(job.settings),
            "versions": versions(),
            "compile_seconds": round(compiling, 3),
            "updated": datetime.now(UTC).isoformat(timespec="microseconds"),
            "failures": with_ours(results.failures(job.digest, shard)),
        },
    )  # fmt: skip
    runs = results.runs()
    runs[job.digest]["failures"] = with_ours(runs[job.digest]["failures"])
    results.write_page(page(runs, records))
