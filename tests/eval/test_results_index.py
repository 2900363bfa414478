"""The index of results: its counts are those of the pages, and it leaves no page out."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"


@pytest.fixture(scope="module")
def program():
    return runpy.run_path(str(ROOT / "docs" / "write_results.py"))


def test_the_counts_are_those_of_the_pages(program):
    text = (RESULTS / "index.md").read_text("utf-8")
    assert program["page"](text, RESULTS) == text


def test_a_claim_is_a_line_that_ends_in_its_verdict(program, tmp_path):
    lines = ["| a | **holds** |", "| b | **fails** |", "| **holds** | c |", "so it **fails**",
             "| d | **undecided** |", "| e | **holds** |"]  # fmt: skip
    found = program["count"]("\n".join(lines))
    assert found == {"holds": 2, "fails": 1, "undecided": 1}
    (tmp_path / "fido_table1.md").write_text("\n".join(lines))
    assert "| **64** | **all** | 2 | 1 | 1 |" in program["counts"](tmp_path)
    with pytest.raises(ValueError, match="expected the lines"):
        program["page"]("# Results\n", tmp_path)


def test_every_page_is_in_the_index(program):
    text = (RESULTS / "index.md").read_text("utf-8")
    counted = {name for names in program["SIZES"].values() for name in names}
    for page in RESULTS.glob("*.md"):
        if page.stem == "index":
            continue
        assert f"]({page.name})" in text
        claims = program["count"](page.read_text("utf-8"))
        assert not claims or page.stem in counted, page


def test_the_index_has_every_figure_of_the_papers():
    text = (RESULTS / "index.md").read_text("utf-8")
    sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    figures = {}
    for section in sections:
        heads = re.findall(r"^\| ((?:Table |Figure )?\d[^|]*)\|", section, re.MULTILINE)
        words = [re.sub(r"\(.*?\)", "", head) for head in heads]
        figures[section.partition(":")[0].split()[0]] = {
            int(number)
            for word in words
            for number in re.findall(r"\b(\d+)[ab]?\b", re.sub(r"Table \d+", "", word))
        }
    assert figures["VDSM"] >= {*range(1, 9)}
    assert figures["FIDO"] >= {*range(1, 23)}
    assert figures["VarSal"] >= {*range(1, 11)}
    assert figures["Nonlinear"] >= {*range(1, 5)}
    assert "| Table 1 |" in text
    assert "| Table 2, Figure 18" in text
