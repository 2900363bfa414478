"""The notebooks run from top to bottom, and are stored with what they drew."""

import os
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICK = """
from fidojax import presets
presets.fast |= {"steps": 7, "samples": 2}
presets.hold |= {"steps": 7}
"""
"""A cell before the first one: FIDO takes a few steps in place of 60."""


def drawings(notebook) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.filterwarnings("ignore")  # the kernel's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_executes_and_draws(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(path, as_version=4)
    assert drawings(notebook) >= 4, "store the notebook with its outputs"
    for cell in notebook.cells:
        cell.pop("outputs", None)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(QUICK))
    resources = {"metadata": {"path": tmp_path}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    assert drawings(notebook) >= 4
