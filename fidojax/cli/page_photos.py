"""index.html by photo: what several settings say of it, side by side."""

from collections.abc import Mapping, Sequence
from string import Template
from typing import Any
from urllib.parse import quote

from fidojax.cli.numbers import percent
from fidojax.cli.page_table import NUMBERS, anchor, text

Record = Mapping[str, Any]
MEANING = (
    "<p>Smallest share: of the pixels in the map's order, on which the class keeps nine tenths of "
    "its p whatever fills the rest. Deletion: the mean of p while the most salient pixels go first."
    " Lower is better for both; the lowest of a class is bold.</p>"
)


def photos(records: Sequence[Record], heads: Mapping[str, str]) -> str:
    """Return the HTML of all photos.

    Args:
        records: of explained pictures.
        heads: what tells a setting from the others, by digest, in the order of the columns.
    """
    order = list(heads)
    by_source: dict[str, list[Record]] = {}
    for record in records:
        if record["settings_digest"] in heads:
            by_source.setdefault(record["source"], []).append(record)
    return "\n".join(
        _photo(sorted(found, key=lambda one: order.index(one["settings_digest"])), heads)
        for found in by_source.values()
    )


def links(record: Record) -> list[str]:
    """The places of a picture's map and record, and files to download."""
    files, place = record["files"], record.get("map")  # records of older versions have no map
    found = [f"map: row {place['row']} of {text(place['ledger'])}"] if place else []
    found.append(f'<a href="records/{quote(record["name"])}.json">record</a>')
    saved = (kind for kind in files if files[kind].startswith("maps/"))
    return found + [f'<a href="{quote(files[kind])}" download>{text(kind)}</a>' for kind in saved]


def warned(record: Record) -> str:
    """What is wrong with an explanation."""
    said = "".join(f"<p>{text(one)}</p>" for one in record.get("warnings") or ())
    return f'<div class="warned">{said}</div>' if said else ""


def truth(record: Record) -> str:
    """The data set's label, if there is one."""
    label = record["label"]
    return f" · label: {text(label['name'] or label['index'])}" if label else ""


def _photo(records: Sequence[Record], heads: Mapping[str, str]) -> str:
    first = records[0]
    seen = first["prediction"]
    p = "" if seen["probability"] is None else f" {percent(seen['probability'])}"
    return _PHOTO.substitute(
        name=text(first["id"]),
        about=f"{text(first['source'])} · prediction: {text(seen['name'])}{p}{truth(first)}",
        columns="\n".join(_column(one, heads[one["settings_digest"]], records) for one in records),
    )


def _column(record: Record, head: str, records: Sequence[Record]) -> str:
    files, alt = record["files"], text(f"Map of {record['id']}: {head}")
    shown = ""
    if small := files.get("small") or files.get("figure"):
        whole = quote(files.get("figure", small))
        shown = (
            f'<a href="{whole}"><img src="{quote(small)}" alt="{alt}" loading="lazy" '
            f'title="the whole figure"></a>'
        )
    more = [kind for kind in files if files[kind].startswith("figures/") and kind != "small"]
    figures = [f'<a href="{quote(files[kind])}">{text(kind)}</a>' for kind in more]
    return _COLUMN.substitute(
        anchor=anchor(record),
        head=text(head),
        shown=shown,
        numbers="".join(
            f"<dt>{text(name)}</dt><dd{' class=best' if best else ''}>{text(value)}</dd>"
            for name, value, best in _numbers(record, records)
        ),
        warned=warned(record),
        links=" · ".join([*figures, *links(record)[1 if record.get("map") else 0 :]]),
    )


def _numbers(record: Record, records: Sequence[Record]) -> list[tuple[str, str, bool]]:
    """The lines under a column: name, value, whether it is the lowest for this class."""
    target, share = record["target"], record["probability"]["image"]
    lines = [("class", target["name"] + ("" if share is None else f" {percent(share)}"), False)]
    own = record.get("numbers") or {}
    for key, (name, form) in NUMBERS.items() if own else ():
        others = [
            one["numbers"][key]
            for one in records
            if one.get("numbers") and one["target"]["name"] == target["name"]
        ]
        known = [value for value in others if value is not None]
        shown = "never" if own[key] is None else form(own[key])
        best = len({*map(form, known)}) > 1 and shown == form(min(known))
        lines.append((name, shown, best))
    for other in record.get("classes") or ():
        if other["name"] != target["name"] and other["alone"][0] is not None:
            low, high = map(percent, other["alone"])
            lines.append((f"{other['name']} on the region", f"{low} to {high}", False))
    if record["seconds"] is not None:
        lines.append(("seconds", f"{record['seconds']:.1f}", False))
    return lines


_PHOTO = Template("""\
<section class="photo">
<h2>$name</h2>
<p class="about">$about</p>
<div class="columns">
$columns
</div>
</section>""")

_COLUMN = Template("""\
<article id="$anchor">
<h3>$head</h3>
<div>$shown
<dl class="numbers">$numbers</dl>
$warned
<p class="links">$links</p></div>
</article>""")
