"""index.html: all results of a folder on one page, without any outside resource."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from string import Template
from typing import Any
from urllib.parse import quote

from fidojax.cli.job import Job
from fidojax.cli.page_photos import MEANING, links, photos, truth, warned
from fidojax.cli.page_settings import class_names, flat, headings, plain
from fidojax.cli.page_table import anchor, table, text
from fidojax.cli.records import EXPLAINED, ResultsFolder
from fidojax.data import BadPicture
from fidojax.runs import versions


def page(runs: Mapping[str, Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> str:
    """Return the HTML of a folder of results: by photo where there are several settings.

    Args:
        runs: the runs by settings digest, as `ResultsFolder.store_run` stored them.
        records: the records of all pictures.
    """
    explained = [record for record in records if record["status"] == EXPLAINED]
    # The settings that were begun first come first: those of a command in its order.
    order = sorted(runs, key=lambda digest: runs[digest].get("begun") or runs[digest]["updated"])
    said = headings([runs[digest] for digest in order])
    failures = sum(len(run["failures"]) for run in runs.values())
    summary = f"{len(explained)} explanation{'' if len(explained) == 1 else 's'}"
    if len(order) > 1:
        summary += f" with {len(order)} different settings"
    if failures:
        summary += f", {failures} failed"
    if len(order) == 1:
        (digest,) = order
        body = [_section(said.whole[0], runs[digest], explained)]
    else:
        heads = dict(zip(order, said.own, strict=True))
        body = [_several(runs, heads, said.shared, explained), photos(explained, heads)]
    return _PAGE.substitute(summary=summary, sections="\n".join(body))


def _section(title: str, run: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """All of one setting."""
    return _SECTION.substitute(
        title=text(title),
        settings=f"<details><summary>Settings</summary>{_settings(run)}</details>",
        failures=_failures(run),
        table=table(records) if records else "<p>No explanations.</p>",
        cards="\n".join(map(_card, records)),
    )


def _several(
    runs: Mapping[str, Mapping[str, Any]],
    heads: Mapping[str, str],
    shared: str,
    records: Sequence[Mapping[str, Any]],
) -> str:
    """The settings, and the numbers of all pictures."""
    known = [record for record in records if record["settings_digest"] in heads]
    known.sort(key=lambda one: (one["source"], [*heads].index(one["settings_digest"])))
    measured = any(record.get("numbers") for record in known)
    return _SECTION.substitute(
        title=text(f"All with {shared}") if shared else "Settings",
        settings="".join(
            f"<details><summary>{text(head)}</summary>{_settings(runs[digest])}</details>"
            for digest, head in heads.items()
        ),
        failures="".join(map(_failures, (runs[digest] for digest in heads))),
        table=table(known, heads) + (MEANING if measured else "") if known else "",
        cards="",
    )


def _failures(run: Mapping[str, Any]) -> str:
    items = "".join(
        f"<li><code>{text(bad['source'])}</code>: {text(bad['reason'])}</li>"
        for bad in run["failures"]
    )
    return f'<div class="failed"><h3>Failed</h3><ul>{items}</ul></div>' if items else ""


def _settings(run: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    rows = {name: value for name, value in flat(run["settings"]).items() if name != "fidojax"}
    if rows["target"] != "prediction":
        rows["target"] = ", ".join(class_names(run))
    compiling = run.get("compile_seconds")
    rows |= {} if compiling is None else {"compiling": f"{compiling:.1f} s in the last run"}
    rows |= {"versions": versions, "last run": run["updated"]}
    lines = "".join(
        f"<dt>{text(name)}</dt><dd>{text(plain(value))}</dd>" for name, value in rows.items()
    )
    return f"<dl>{lines}</dl>"


def _card(record: Mapping[str, Any]) -> str:
    files = record["files"]
    drawn = ""
    figures = (kind for kind in files if files[kind].startswith("figures/") and kind != "small")
    for kind in figures:
        source = quote(files[kind])
        uncertain = record.get("mean_standard_deviation") is not None
        held = (record.get("region") or {}).get("area") is not None
        last = "the region alone and taken away" if held else "mixture"
        what = f"Image, saliency map, overlay and {'standard deviation' if uncertain else last}"
        what = what if kind == "figure" else kind.capitalize()
        alt = text(f"{what} of {record['id']}")
        drawn += f'<a href="{source}"><img src="{source}" alt="{alt}" loading="lazy"></a>'
    drawn += "" if drawn else warned(record)
    return (
        f'<figure id="{anchor(record)}">{drawn}<figcaption><b>{text(record["id"])}</b> · '
        f"{text(record['source'])}{truth(record)} · {' · '.join(links(record))}</figcaption>"
        f"</figure>"
    )


_SECTION = Template("""\
<section>
<h2>$title</h2>
$settings
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

    now = datetime.now(UTC).isoformat(timespec="microseconds")
    named = job.classes or ((job.target,) if isinstance(job.target, int) else ())
    results.store_run(
        job.digest, shard,
        {
            "settings": dict(job.settings),
            "target_names": [job.pretrained.labels[row] for row in named] or [str(job.target)],
            "begun": (results.runs().get(job.digest) or {}).get("begun", now),
            "versions": versions(),
            "compile_seconds": round(compiling, 3),
            "updated": now,
            "failures": with_ours(results.failures(job.digest, shard)),
        },
    )  # fmt: skip
    runs = results.runs()
    runs[job.digest]["failures"] = with_ours(runs[job.digest]["failures"])
    results.write_page(page(runs, records))
