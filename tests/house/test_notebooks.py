"""The notebooks run from top to bottom, and are stored with what they drew.

Their cells are executed in this process: a kernel for each would import everything seven times.
"""

import ast
import builtins
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import pytest
from matplotlib.figure import Figure

from fidojax import presets

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def quick(monkeypatch):
    """FIDO takes a few steps in place of 60."""
    for preset, options in (
        (presets.fast, {"steps": 7, "samples": 2}),
        (presets.hold, {"steps": 7}),
    ):
        for name, value in options.items():
            monkeypatch.setitem(preset, name, value)


def stored_drawings(notebook) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def execute(source: str, names: dict[str, Any], title: str) -> int:
    """Execute a cell and return the number of pictures that a notebook would show below it."""
    body = ast.parse(source, title).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), title, "exec"), names)
    shown = None
    if last is not None:
        shown = eval(compile(ast.Expression(last.value), title, "eval"), names)  # type: ignore
    drawn = len(plt.get_fignums())
    plt.close("all")
    return drawn + hasattr(shown, "_repr_png_") + isinstance(shown, Figure)


@pytest.mark.filterwarnings("ignore")  # they take few steps
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_executes_and_draws(path, tmp_path, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    assert stored_drawings(notebook) >= 4, "store the notebook with its outputs"
    monkeypatch.chdir(tmp_path)
    shown = []
    names = {"__name__": "__main__", "display": shown.append, "__builtins__": builtins}
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    drawn = sum(
        execute(cell.source, names, f"{path.name}, cell {at}") for at, cell in enumerate(cells)
    )
    assert drawn + len(shown) >= 4
