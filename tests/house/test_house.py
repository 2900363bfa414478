"""The rules of the house: one-way imports, one tag per equation, no printing below the rim."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("fidojax", "infillers", "train", "eval", "tests", "benchmarks")
# Who may import whom: the key may import the values (and itself).
ALLOWED = {
    "fidojax": set(),
    "infillers": {"fidojax"},
    "train": {"fidojax", "infillers"},
    "eval": {"fidojax", "infillers"},
}
RIM = {
    "adapters",
    "bench",
    "cite",
    "cli",
    "compile_cache",
    "data",
    "encoders",
    "engine",
    "keras_weights",
    "ledger",
    "measure",
    "meter",
    "page",
    "pretrained",
    "stored",
    "viz",
    "viz_nonlinear",
}
"""Parts of fidojax that touch files, screens or frameworks; the pure core never imports them."""
EQUATION = re.compile(r"([A-Z][\w-]*) eq\. (\d+)")


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> list[tuple[str, int]]:
    """Every absolute module that a file imports, with its line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def part(path: Path) -> str:
    """The part of fidojax that a file belongs to: `run` for fidojax/engine/explain.py, `methods`, ..."""
    inside = path.relative_to(ROOT / "fidojax")
    return inside.parts[0].removesuffix(".py")


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_one_way(package):
    for path in sources(package):
        for name, line in imports(path):
            top = name.split(".")[0]
            if top not in PACKAGES or top == package:
                continue
            from_the_command_line = package == "fidojax" and part(path) == "cli"
            allowed = ALLOWED[package] | ({"infillers"} if from_the_command_line else set())
            assert top in allowed, f"{path.relative_to(ROOT)}:{line} imports {name}"


def test_the_core_does_not_import_the_rim():
    for path in sources("fidojax"):
        if part(path) in RIM or part(path) == "__init__":
            continue
        for name, line in imports(path):
            parts = name.split(".")
            if parts[0] == "fidojax" and len(parts) > 1:
                assert parts[1] not in RIM, f"{path.relative_to(ROOT)}:{line} imports {name}"


def test_nothing_prints_or_plots_below_the_rim():
    for path in [p for p in sources("fidojax") if part(p) not in RIM] + sources("infillers"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path.relative_to(ROOT)}:{node.lineno} prints"
        for name, line in imports(path):
            plain = name.split(".")[0]
            assert plain not in {"matplotlib", "rich", "tqdm"}, f"{path}:{line} imports {name}"


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
