"""Count the rooms, floors, arrows and circles of the house from its imports.

    python tests/house/census.py [FOLDER]

A room is an entry of `fidojax/`: a package or a module. An arrow says that one room imports
another; the floor of a room is the longest way down to a room that imports none. Rooms that reach
each other form a circle and share a floor.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("fidojax", "infillers", "eval", "train", "benchmarks", "tests")


def sources(root: Path, folder: str) -> list[Path]:
    """The Python files of a folder."""
    return sorted((root / folder).rglob("*.py"))


def room(root: Path, module: str) -> str | None:
    """The room of a dotted name of fidojax; None for the face and for names that are no room."""
    parts = module.split(".")
    if parts[0] != "fidojax" or len(parts) < 2 or parts[1] == "__init__":
        return None
    path = root / "fidojax" / parts[1]
    return parts[1] if path.is_dir() or path.with_suffix(".py").exists() else None


def arrows(root: Path) -> dict[str, set[str]]:
    """The rooms that each room imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sources(root, "fidojax"):
        here = room(root, ".".join(path.relative_to(root).with_suffix("").parts))
        if here is None:
            continue
        found[here] |= set()
        for name in imported(path):
            there = room(root, name)
            if there not in (None, here):
                found[here].add(there)  # type: ignore[arg-type]
    return dict(found)


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reach(graph: dict[str, set[str]], start: str) -> set[str]:
    """All that can be reached from a node along the arrows."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for after in graph.get(waiting.pop(), ()):
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return seen


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that reach one another."""
    reached = {node: reach(graph, node) for node in graph}
    groups = {
        tuple(sorted(b for b in reached[a] if b in reached and a in reached[b]))
        for a in graph
        if a in reached[a]
    }
    return [list(group) for group in sorted(groups)]


def floors(graph: dict[str, set[str]]) -> int:
    """The length of the longest way down, in rooms; a circle counts as one room."""
    together = {node: min(group) for group in circles(graph) for node in group}
    whole: dict[str, set[str]] = defaultdict(set)
    for node, after in graph.items():
        here = together.get(node, node)
        whole[here] |= {together.get(other, other) for other in after} - {here}

    def height(node: str) -> int:
        return 1 + max(map(height, whole.get(node, ())), default=0)

    return max(map(height, whole))


def wide(path: Path, most: int = 12) -> int:
    """The number of functions of a file with more than `most` parameters."""
    return sum(
        len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]) > most
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def main(root: Path) -> None:
    """Print the counts."""
    graph = arrows(root)
    print(f"rooms {len(graph)}, floors {floors(graph)}, arrows {sum(map(len, graph.values()))}")
    print(f"circles of rooms: {circles(graph) or 'none'}")
    for folder in FOLDERS:
        files = sources(root, folder)
        lines = [path.read_text().splitlines() for path in files]
        skips = sum("# fmt: skip" in line for each in lines for line in each)
        print(
            f"{folder}: {len(files)} files, {sum(map(len, lines))} lines, {skips} fmt: skip, "
            f"{sum(map(wide, files))} functions with more than 12 parameters"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
