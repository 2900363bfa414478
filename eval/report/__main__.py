"""Write a run's report: DIR/report.html, one page that needs no other file, its numbers as
report.json and its tables as report.md.

The run may be unfinished: the report then says so and shows what is stored so far.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import matplotlib
import tyro
from rich.console import Console

from eval.report.findings import findings
from eval.report.markdown import markdown
from eval.report.page import page
from eval.report.reading import read
from eval.report.summary import summary
from fidojax.data import write_text


def report(directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]) -> None:
    """Write the report of the run in DIR."""
    run = read(directory)
    found = findings(run)
    html, numbers = directory / "report.html", directory / "report.json"
    write_text(directory / "report.md", markdown(found))
    write_text(html, page(run, found))
    write_text(numbers, json.dumps(found, indent=1, allow_nan=False) + "\n")
    console = Console()
    for part in summary(found):
        console.print(part)
    console.print(f"{html}\n{numbers}", markup=False, highlight=False, soft_wrap=True)


def main(arguments: list[str] | None = None) -> int:
    """Write the report that the command line asks for; return 1 where DIR holds no run."""
    matplotlib.use("Agg")  # figures go to files
    try:
        tyro.cli(report, prog="python -m eval.report", description=__doc__, args=arguments)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
