"""The documentation: every public name, every package, every method; the version in step."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

import fidojax
from fidojax.methods import METHOD_ROWS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CODE = ".. code-block:: pycon\n   :force:\n"
PAGES = (
    "index",
    "start",
    "installation",
    "gallery",
    "export",
    "train_your_own",
    "troubleshooting",
    "formats",
    "faq",
    "citing",
)


@pytest.fixture
def site(monkeypatch):
    """Import a module of the site by its name."""
    monkeypatch.syspath_prepend(str(DOCS / "extensions"))
    return importlib.import_module


def test_every_public_name_is_documented_and_every_face_has_a_page(site):
    faces = site("faces")
    bare = [
        f"{face}.{name}"
        for face in faces.FACES
        for name in faces.public_names(face)
        if not faces.docstring(face, name).strip()
    ]
    assert bare == []
    packages = {f"fidojax.{path.parent.name}" for path in (ROOT / "fidojax").glob("*/__init__.py")}
    assert packages <= {*faces.FACES}
    index = (DOCS / "reference" / "index.md").read_text("utf-8")
    assert re.findall(r"^(?:fidojax|infillers)[\w.]*$", index, re.MULTILINE) == [*faces.FACES]
    for face in faces.FACES:
        page = (DOCS / "reference" / f"{face}.md").read_text("utf-8")
        assert faces.BLOCK.findall(page) == [face]


def test_a_face_lists_each_name_once(site):
    faces = site("faces")
    for face, name in (("fidojax", "region"), ("fidojax.core", "soft_edge"), ("infillers", "blur")):
        assert f".. autofunction:: {face}.{name}\n" in faces.directives(face)
    text = faces.directives("fidojax.core")
    assert ".. autofunction:: fidojax.core.region\n" not in text
    assert ":py:obj:`region <fidojax.region>`" in text
    assert ".. py:data:: fidojax.core.EDGES\n\n   The edges with which" in text


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("A *map* of `x_y`s.", [r"A \*map\* of ``x_y``\ s.", ""]),
        ("One\nparagraph.\n\nAnother.", ["One paragraph.", "", "Another.", ""]),
        (
            "Args:\n    a, b: both\n        of them.",
            ["**Args**", "", "* ``a, b``: both of them.", ""],
        ),
        (
            "Example:\n    >>> a = 1\n\n    >>> b",
            ["**Example**", "", *CODE.split("\n"), "   >>> a = 1", "", "   >>> b", ""],
        ),
        ("Reference: X, eq. 1.", ["**Reference:** X, eq. 1.", ""]),
        ("As:\n    k = 2", ["As:", "", ".. code-block:: text", "   :force:", "", "   k = 2", ""]),
    ],
)
def test_a_docstring_becomes_text_without_stray_markup(site, text, lines):
    assert site("docstrings").to_rst(text) == lines


def test_the_help_of_a_command_becomes_a_list_of_options(site):
    said = (
        "usage: fidojax cite [-h] [NAME ...]\n\nPrint <BibTeX>.\n\n options   \n -------   \n"
        "  -h, --help   help   \n  --hold A|B\n               a [share];\n"
        "               or `both`  \n           \n"
    )
    assert site("commands").command("cite", said) == (
        "## fidojax cite\n\nPrint \\<BibTeX\\>.\n\n    fidojax cite [-h] [NAME ...]\n\n"
        "`-h, --help`\n: help\n\n`--hold A|B`\n: a \\[share\\]; or `both`"
    )


def test_the_choice_has_every_method(site):
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", (DOCS / "choose.md").read_text("utf-8"), re.M)
    said = {name: row.says for name, row in METHOD_ROWS.items()}
    assert dict(rows) == said, "run python docs/write_choose.py"
    assert len(rows) == len(said)


def test_the_gallery_has_every_method_and_each_picture_and_weighs_little():
    text = (DOCS / "gallery.md").read_text("utf-8")
    shown = re.findall(r"^### ([\w-]+)$", text, re.MULTILINE)
    (absent,) = re.findall(r"^## What is not here\n(.+)", text, re.MULTILINE | re.DOTALL)
    named = {name.partition("-")[0] for name in [*shown, *re.findall(r"`([\w-]+)`", absent)]}
    assert {*METHOD_ROWS} <= named, "run python docs/write_gallery.py"
    pictures = {path.stem: path.stat().st_size for path in (DOCS / "gallery").iterdir()}
    assert {*pictures} == {*shown, "photos"}
    assert sum(pictures.values()) < 3e6
    numbers = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", text, re.MULTILINE))
    for name in shown:
        (alt,) = re.findall(rf"!\[{name}: (.+)\]\(gallery/{name}.webp\)", text)
        each = re.findall(r" (\d+%|none)", alt)
        assert len(each) == 8
        assert numbers[name].split(" | ")[:-1] == each


def test_prose_of_the_site_fits_a_screen():
    for name in PAGES:
        text = (DOCS / f"{name}.md").read_text("utf-8")
        lines = [line for line in text.splitlines() if not line.startswith(("![", "| "))]
        assert max(map(len, lines)) <= 100, name


def test_the_citation_has_the_version():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (version,) = re.findall(r"^version: (\S+)$", citation, re.MULTILINE)
    assert version == fidojax.__version__ == project["version"]
    assert f"## {version} " in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^license: (\S+)$", citation, re.MULTILINE) == [project["license"]]
