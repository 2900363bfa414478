"""Write docs/gallery.md and its pictures: the same eight photos explained by every method.

    pip install scikit-learn  # two of the photos are in its wheel
    python docs/write_gallery.py [ROW ...]

Maps that were made before are kept in runs/gallery, so that a stopped program goes on where it was;
page and pictures are drawn at the end. With names of rows, only these are explained.
"""

import io
import re
import sys
import textwrap
from pathlib import Path
from statistics import median

import gallery_maps as maps
import numpy as np
import PIL.Image
from gallery_maps import PHOTOS, Known, Row
from matplotlib.figure import Figure

from fidojax import networks, viz
from fidojax.data import write_atomically
from fidojax.methods import METHOD_ROWS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "gallery"
DPI, QUALITY = 150, 55
TEXT = """\
# Gallery

The same eight photos, explained for EfficientNet-Lite0 at 224 x 224: by each method at its defaults
or by fewer steps, as is said there, and by FIDO with each infiller. What is missing is named at the
[end](#what-is-not-here). `python docs/write_gallery.py` makes the maps, the pictures and this page.

![{alt}](gallery/photos.webp)

Above: the photos with the class that the network names first, which is the one that is explained,
and its probability.{notes}

## How to read a picture

A picture shows the map over the photo: bright yellow is what the method holds for most important,
and where it matters least the photo itself is seen, a little dimmed. Maps with two signs are red
where a pixel supports the class, blue where it opposes it.

**The number is the share of the picture on which the class holds.** Take the most important pixels
of the map, the smallest share of them at which the network still names the class first while the
rest is filled in: with one gray and with a blurred picture, with hard and with soft edges, all four
times. `fidojax.region` finds that share, and the white line bounds these pixels; pixels that lie
scattered have no line. A small number says that little suffices, and that the map has found it;
100% that its order is no help, since nothing less than the whole picture keeps the class. The
number judges no more than that: a map that answers another question, such as "what speaks against
the class?", may be right and have a large one.

Seed 0, one map each. One photo proves nothing, and eight prove little:
[regions](results/holding.md) and [all methods](results/all_methods.md) have more of them.

{sections}

## The numbers

Share of the picture on which the class holds; "none" where it does not even hold on the whole map's
order. The last column is the median.

{table}

## The photos

{credits}

Photos are cut to the square in their centre. Of the photos in these packages, those are left out in
which the network sees nothing that is there, such as scikit-image's astronaut ("bobsled").

## What is not here

{omitted}
"""
READ = {
    "Masks found by optimisation": "Read the outline first: these maps are made to be cut. The "
    "number is what they were optimised for, or near it.",
    "Masked pictures, without gradients": "Read where the map is brightest, and expect soft edges: "
    "a window or a coarse mask is the smallest thing that these methods can see.",
    "Gradients": "Read the cluster, not the pixel: a single bright point means little, and the "
    "map says how the score changes, not what the class needs.",
    "Features of one layer": "Read the place, not the outline: the map is as coarse as the layer, "
    "7 x 7 for this network, and smoothed.",
    "Controls": "They do not look at the classifier: a method whose numbers are not smaller than "
    "these has found nothing here.",
}
"""How to read the maps of a group of docs/choose.md, in a sentence."""


def main(only: list[str]) -> None:
    network = networks.load(maps.NETWORK)
    photos, rows = maps.known(network), maps.rows()
    for name in only or rows:
        for photo in photos:
            file = maps.explain(network, name, rows[name], photo)
            print(f"{name} {photo.photo.name}: {np.load(file)['area']:.0%}", flush=True)
    write(photos, rows)


def write(photos: list[Known], rows: dict[str, Row]) -> None:
    """Draw the rows whose maps are there, and write the page."""
    PICTURES.mkdir(exist_ok=True)
    files = {name: [maps.MAPS / name / f"{photo.name}.npz" for photo in PHOTOS] for name in rows}
    whole = {name: paths for name, paths in files.items() if all(map(Path.exists, paths))}
    stored = {name: [dict(np.load(path)) for path in paths] for name, paths in whole.items()}
    for name, each in stored.items():
        shown = [_exhibit(of, found) for of, found in zip(photos, each, strict=True)]
        _save(viz.sheet(shown, width=6.0), name)
    plain = [
        viz.View(of.image, of.photo.name, f"{of.label}\n{of.probability:.0%}") for of in photos
    ]
    _save(viz.sheet(plain, width=6.0), "photos")
    areas = {name: [float(found["area"]) for found in each] for name, each in stored.items()}
    PAGE.write_text(page(photos, {name: rows[name] for name in areas}, areas), encoding="utf-8")


def page(photos: list[Known], rows: dict[str, Row], areas: dict[str, list[float]]) -> str:
    """The whole of docs/gallery.md."""
    sections = []
    for title, names in groups(rows).items():
        read = textwrap.fill(f"{READ[title]}", 100)
        sections += [f"## {title}\n\n{read}", *(_entry(n, rows[n], areas[n]) for n in names)]
    notes = " ".join(of.photo.note for of in photos if of.photo.note)
    head = ("row", *(photo.name for photo in PHOTOS), "median")
    lines = [
        (f"`{name}`", *map(_share, each), _share(median(np.nan_to_num(each, nan=1.0))))
        for name, each in areas.items()
    ]
    credits = [
        (of.name, f"`{of.package}` {of.path.rpartition('/')[2]}", of.credit) for of in PHOTOS
    ]
    return TEXT.format(
        alt=", ".join(f"{of.photo.name}: {of.label} {of.probability:.0%}" for of in photos),
        notes=f"\n\n{textwrap.fill(notes, 100)}" if notes else "",
        sections="\n\n".join(sections),
        table=_table(head, lines),
        credits=_table(("photo", "package and file", "by, licence"), credits),
        omitted=_omitted(set(maps.rows()) - set(rows)),
    )


def groups(rows: dict[str, Row]) -> dict[str, list[str]]:
    """The rows in the groups of docs/choose.md."""
    text = (ROOT / "docs" / "choose.md").read_text(encoding="utf-8")
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)[1:]
    found = {}
    for title, part in zip(parts[::2], parts[1::2], strict=True):
        methods = re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
        names = [name for method in methods for name, row in rows.items() if row.method == method]
        if names:
            found[title] = names
    return found


def _entry(name: str, row: Row, areas: list[float]) -> str:
    """The heading, the sentence and the picture of a row."""
    infill = name.removeprefix("fido-") if name.startswith("fido-") else None
    said = f"The rest is filled by `{infill}`." if infill else f"{METHOD_ROWS[row.method].says}."
    if row.method == "fido" and infill is None:
        said = f"{said} The rest is filled by `mean` and by `blur`."
    said = f"{said[0].upper()}{said[1:]}" + (f" ({row.why}.)" if row.why else "")
    alt = ", ".join(f"{of.name} {_share(x)}" for of, x in zip(PHOTOS, areas, strict=True))
    return f"### {name}\n\n{textwrap.fill(said, 100)}\n\n![{name}: {alt}](gallery/{name}.webp)"


def _omitted(missing: set[str]) -> str:
    """What the page does not show: what needs something else, and what was not made yet."""
    reasons = {
        "a transformer": [name for name, row in METHOD_ROWS.items() if row.attention],
        "a network that was trained for EfficientNet-Lite0, and none is shipped": [
            name for name, row in METHOD_ROWS.items() if {"encoder", "masker"} & {*row.required}
        ],
        "the object's box": [n for n, row in METHOD_ROWS.items() if "boxes" in row.required],
    }
    lines = [f"- {_named(names)}: needs {reason}." for reason, names in reasons.items()]
    if missing:
        said = "not made yet; "
        lines.append(f"- {_named(sorted(missing))}: {said}`python docs/write_gallery.py` adds it.")
    return "\n".join(
        textwrap.fill(line, 100, subsequent_indent="  ", break_on_hyphens=False) for line in lines
    )


def _named(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _exhibit(of: Known, found: dict[str, np.ndarray]) -> viz.Exhibit:
    saliency, area = found["saliency"].astype(np.float32), float(found["area"])
    region = found["mask"] if np.isfinite(area) else None
    return viz.Exhibit(
        of.image, saliency, of.photo.name, verdict=_share(area),
        symmetric=bool(saliency.min() < 0), views=(viz.View(of.image, "region", region=region),),
    )  # fmt: skip


def _share(area: float) -> str:
    return f"{area:.0%}" if np.isfinite(area) else "none"


def _table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def _save(drawing: Figure, name: str) -> None:
    file = io.BytesIO()
    drawing.savefig(file, format="png", dpi=DPI)
    picture = PIL.Image.open(file).convert("RGB")
    path = PICTURES / f"{name}.webp"
    write_atomically(path, lambda out: picture.save(out, "webp", quality=QUALITY, method=6))


if __name__ == "__main__":
    main(sys.argv[1:])
