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
    inline = re.findall(r"\]\((?!http)([^)#]+)", README)
    defined = dict(re.findall(r"^\[(.+?)\]: ([^#\n]+)", README, re.MULTILINE))
    assert len(defined) >= 10
    for target in [*inline, *defined.values()]:
        assert (ROOT / target).exists(), f"README.md links to {target}, which does not exist"
    text = re.sub(r"```.*?```|`[^`]*`", "", README, flags=re.DOTALL)  # code has brackets, too
    used = re.findall(r"\]\[(\w+)\]|\[([\w ]+)\](?![\[(:])", text)
    assert {a or b for a, b in used} == set(defined)


def test_the_readme_is_short_enough_to_be_read():
    lines = README.splitlines()
    assert len(lines) <= 110
    assert max(map(len, lines)) <= 100
