"""The rules of the house: one tag per equation, file names that say something, no pickles."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("fidojax", "infillers", "train", "eval", "tests", "benchmarks")
EQUATION = re.compile(r"([A-Z][\w-]*) eq\. (\d+)")


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def tags() -> list[tuple[str, str]]:
    """(equation, place) of every equation tag in the code."""
    found = []
    for path in sources("fidojax", "infillers", "train", "eval"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code, _, comment = line.partition("  # ")
            if comment and code.strip():
                place = f"{path.relative_to(ROOT)}:{number}"
                found += [(f"{p} eq. {n}", place) for p, n in EQUATION.findall(comment)]
    return found


def test_an_equation_tag_stands_once_and_the_index_is_fresh():
    found = tags()
    counts = Counter(equation for equation, _ in found)
    assert len(counts) >= 10
    assert [equation for equation, count in counts.items() if count > 1] == []
    index = (ROOT / "docs" / "equations.md").read_text()
    rows = set(re.findall(r"^\| (\S+ eq\. \d+) \|.*\| `(\S+)` \|$", index, flags=re.MULTILINE))
    assert rows == {(equation, place.rsplit(":", 1)[0]) for equation, place in found}


def test_no_file_name_that_says_nothing():
    empty = {"utils", "util", "common", "helpers", "base", "misc"}
    for path in sources(*PACKAGES):
        assert path.stem not in empty, path


def test_no_pickle_in_shipped_weights():
    for path in sources("fidojax", "infillers"):
        assert "allow_pickle=True" not in path.read_text(), path
