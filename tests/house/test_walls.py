"""The walls of the house: who imports whom, by which face, and what the pure packages avoid."""

import ast
import functools
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("fidojax", "infillers", "train", "eval", "benchmarks", "tests")
ARROWS = {
    "fidojax.types": "",
    "fidojax.core": "types",
    "fidojax.presets": "",
    "fidojax.transforms": "types core",
    "fidojax.methods": "types core transforms presets",
    "fidojax.metrics": "types core transforms",
    "fidojax.engine": "types core transforms methods metrics",
    "fidojax.data": "types core",
    "fidojax.networks": "types core transforms methods data",
    "fidojax.runs": "types core methods metrics engine data",
    "fidojax.viz": "types core methods metrics engine",
    "fidojax.bench": "types core transforms presets methods metrics engine networks runs",
    "fidojax.cite": "core methods metrics infillers",
    "fidojax": "types core presets transforms methods metrics engine data networks runs viz"
    " infillers",
    "fidojax.cli": "types core presets transforms methods metrics engine data networks runs viz"
    " bench cite fidojax infillers",
    "fidojax.__main__": "cli",
    "infillers": "types core transforms networks",
    "train": "types core transforms methods metrics engine data networks runs viz cli fidojax"
    " infillers",
    "eval": "types core presets transforms methods metrics engine data networks runs viz bench cli"
    " cite fidojax infillers",
}
"""Package -> those it may import, from the lowest floor to the highest; a name without a dot is a
package of fidojax, or one that stands beside it. Benchmarks and tests may import everything."""
PURE = ("types", "core", "transforms", "methods", "metrics")
"""Packages that touch no file, no screen and no framework of networks."""
FILES = {"csv", "io", "json", "os", "pathlib", "pickle", "shutil", "tempfile", "zarr", "PIL"}
SCREENS = {"logging", "matplotlib", "rich", "tqdm"}
FRAMEWORKS = {"equinox", "flax", "haiku", "keras", "tensorflow", "tensorflow_datasets", "torch"}
FACES_ONLY = ("fidojax", "infillers")
"""Top folders whose files import from other packages through their faces only."""


@functools.cache
def exported(package: str) -> set[str]:
    """The names in the `__all__` of a package's face, read from its text."""
    body = ast.parse(MODULES[package].read_text()).body if package in MODULES else []
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


class Import(NamedTuple):
    """An imported name (None: the module itself), its module, and the place of the import."""

    module: str
    name: str | None
    place: str
    late: bool


def files(*tops: str) -> list[Path]:
    return [path for top in tops for path in sorted((ROOT / top).rglob("*.py"))]


def module_of(path: Path) -> str:
    """The dotted name of a file; that of a package for its `__init__.py`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in files(*TOPS)}


def imports_of(source: str, place: str) -> Iterator[Import]:
    """The imports of a program; late are those inside functions and for type checkers."""
    tree = ast.parse(source)
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        at = f"{place}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, at, id(node) in late)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{at}: a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                # A function may be named as its file; the face then has the function.
                if full in MODULES and alias.name not in exported(str(node.module)):
                    yield Import(full, None, at, id(node) in late)
                else:
                    yield Import(str(node.module), alias.name, at, id(node) in late)


IMPORTS = {
    name: list(imports_of(path.read_text(), str(path.relative_to(ROOT))))
    for name, path in MODULES.items()
}


def package_of(module: str) -> str:
    """`fidojax.core` for fidojax.core.masks, `infillers` for infillers.ca, `fidojax` for itself."""
    return ".".join(module.split(".")[: 2 if module.startswith("fidojax.") else 1])


def full_name(short: str) -> str:
    return short if short in TOPS else f"fidojax.{short}"


def allowed(package: str) -> set[str]:
    return {full_name(short) for short in ARROWS[package].split()}


def of_the_house(module: str) -> bool:
    return module.split(".")[0] in TOPS


def test_the_table_names_every_package():
    found = {package_of(name) for name in MODULES} - {"benchmarks", "tests"}
    assert found == set(ARROWS)


@pytest.mark.parametrize("package", ARROWS)
def test_a_package_imports_only_those_that_the_table_allows(package):
    for module, imports in IMPORTS.items():
        if package_of(module) == package:
            for each in imports:
                other = package_of(each.module)
                if of_the_house(each.module) and other != package:
                    assert other in allowed(package), f"{each.place} imports {each.module}"


def test_the_table_has_no_circle():
    graph = {package: allowed(package) for package in ARROWS}
    assert len(list(TopologicalSorter(graph).static_order())) == len(ARROWS)
    graph["fidojax.types"] = {"fidojax.cli"}
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()


def test_the_face_imports_infillers_and_what_needs_more_libraries_late():
    """`fidojax.infillers` is found where one looks for it; nothing else of fidojax needs it."""
    later = {"infillers", *(f"fidojax.{name}" for name in ("data", "networks", "runs", "viz"))}
    assert {
        e.place for e in IMPORTS["fidojax"] if package_of(e.module) in later and not e.late
    } == set()


def test_no_two_files_need_each_other():
    """Where the modules are loaded, `from package.module import name` needs that module alone."""
    graph = {
        module: {e.module for e in imports if e.module in MODULES and not e.late} - {module}
        for module, imports in IMPORTS.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError with the files of the circle


def test_the_pure_packages_reach_pure_packages_only():
    for package in PURE:
        assert allowed(f"fidojax.{package}") <= {f"fidojax.{p}" for p in (*PURE, "presets")}


def called(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names of the built-in functions that a program calls, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_touches_no_file_screen_or_framework(package):
    for module, path in MODULES.items():
        if package_of(module) != f"fidojax.{package}":
            continue
        for each in IMPORTS[module]:
            top = each.module.split(".")[0]
            assert top not in FILES | SCREENS | FRAMEWORKS, f"{each.place} imports {each.module}"
        for name, line in called(ast.parse(path.read_text())):
            assert name not in {"open", "print", "input"}, f"{path}:{line} calls {name}"


def test_only_the_command_line_prints():
    for path in files("fidojax", "infillers"):
        if package_of(module_of(path)) == "fidojax.cli":
            continue
        for name, line in called(ast.parse(path.read_text())):
            assert name not in {"print", "input"}, f"{path}:{line} calls {name}"


def test_only_outer_packages_draw():
    outer = {"fidojax.runs", "fidojax.viz", "fidojax.bench", "fidojax.cli"}
    for module, imports in IMPORTS.items():
        if module.split(".")[0] in FACES_ONLY and package_of(module) not in outer:
            for each in imports:
                assert each.module.split(".")[0] not in SCREENS, f"{each.place} imports {each[:2]}"


def is_face(module: str) -> bool:
    """Whether a module is a whole package, or one of the single files beside them."""
    return module == package_of(module) and module in MODULES


def through_the_face(each: Import) -> bool:
    """Whether an import takes a face, an exported name, or a module of a package as a module."""
    if each.name == "__version__":
        return each.module == "fidojax"
    if each.name is None:
        return is_face(each.module) or is_face(each.module.rpartition(".")[0])
    if not is_face(each.module):
        return False
    # A single file, such as fidojax/types.py, is its own face.
    return MODULES[each.module].name != "__init__.py" or each.name in exported(each.module)


@pytest.mark.parametrize("top", FACES_ONLY)
def test_other_packages_are_imported_through_their_faces(top):
    for module, imports in IMPORTS.items():
        if module.split(".")[0] == top:
            for each in imports:
                if of_the_house(each.module) and package_of(each.module) != package_of(module):
                    assert through_the_face(each), f"{each.place} imports {each[:2]}"


@pytest.mark.parametrize("top", FACES_ONLY)
def test_inside_a_package_names_come_from_their_files(top):
    """A file takes no name from its own package's face that the face has from another file."""
    for module, imports in IMPORTS.items():
        face = package_of(module)
        if module.split(".")[0] == top and face != module:
            passed_on = {each.name for each in IMPORTS[face] if of_the_house(each.module)}
            for each in imports:
                bad = each.module == face and each.name in passed_on
                assert not bad, f"{each.place} imports {each[:2]}"


def shown_programs() -> Iterator[tuple[str, str]]:
    """Place and text of every program that users are shown: README, notebooks and examples."""
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    ):
        yield f"README.md, block {number}", block
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for number, cell in enumerate(json.loads(path.read_text())["cells"]):
            if cell["cell_type"] == "code":
                yield f"{path.name}, cell {number}", "".join(cell["source"])
    for path in sorted((ROOT / "examples").glob("*.py")):
        yield path.name, path.read_text()


def test_users_are_shown_faces_only():
    shown: Iterable[Import] = [
        each for place, text in shown_programs() for each in imports_of(text, place)
    ]
    assert len([each for each in shown if of_the_house(each.module)]) >= 8
    for each in shown:
        if each.module.split(".")[0] in FACES_ONLY:
            inner = each.name is None and each.module.startswith("fidojax.")
            face = is_face(each.module) if inner else through_the_face(each)
            assert face, f"{each.place} imports {each[:2]}"


def in_a_fresh_process(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def test_the_library_loads_nothing_but_jax_optax_and_types():
    """No zarr, flax, matplotlib, tensorflow_datasets, pillow, rich or scipy, nor anything else."""
    program = """
import sys
import jax, optax, jaxtyping
def loaded(): return {name.split(".")[0] for name in sys.modules}
before = loaded()
import fidojax
print(*loaded() - before)
"""
    assert set(in_a_fresh_process(program).split()) - set(sys.stdlib_module_names) == {"fidojax"}


def processor_seconds(program: str) -> float:
    """The processor time of a program in a process of its own."""
    before = os.times()
    in_a_fresh_process(program)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def test_the_import_takes_little_longer_than_that_of_jax_and_optax():
    """At most 1.2 times as long and 0.2 seconds, the least of up to six alternating rounds.

    Other processes only ever add to a time, so the least of several is the steadiest estimate.
    """
    bare, library = math.inf, math.inf
    for _ in range(6):
        bare = min(bare, processor_seconds("import jax, optax"))
        library = min(library, processor_seconds("import fidojax"))
        if library < 1.2 * bare + 0.2:
            return
    raise AssertionError(f"import fidojax takes {library:.2f} s, import jax, optax {bare:.2f} s")
