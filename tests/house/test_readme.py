"""The README's example is the tested file, and its commands are the ones that work."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_example_is_the_tested_file():
    (shown,) = re.findall(r"<!-- examples/explain.py.*?-->\n```python\n(.*?)```", README, re.DOTALL)
    assert shown == (ROOT / "examples" / "explain.py").read_text()
    assert len([line for line in shown.splitlines() if line and "import" not in line]) <= 12


def test_the_example_runs(capsys):
    runpy.run_path(str(ROOT / "examples" / "explain.py"))
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert "espresso" in out


def test_files_that_the_readme_links_to_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), f"README.md links to {target}, which does not exist"
