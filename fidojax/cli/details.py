"""`fidojax list NAME`: the options of a method or an infiller, a preset, the classes."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import docstring_parser
from rich.console import Console
from rich.table import Table

from fidojax.cli.classifier import classifier_name
from fidojax.cli.options import Explain, List
from fidojax.core import check_name
from fidojax.methods import METHOD_ROWS
from fidojax.networks import PACKAGED, SHIPPED, imagenet_labels
from fidojax.presets import PRESETS
from infillers import INFILLER_ROWS

CLASSES = "classes"


def show_details(asked: List, console: Console) -> None:
    """Print what is known of each name.

    Raises:
        ValueError: there is no such name.
    """
    known = (CLASSES, *METHOD_ROWS, *INFILLER_ROWS, *PRESETS)
    for name in asked.names:
        check_name("fidojax list", name, known)
    for name in asked.names:
        if name == CLASSES:
            _classes(asked.classifier, console)
        elif name in METHOD_ROWS:
            row = METHOD_ROWS[name]
            _options(name, row.function, row.defaults, console)
        elif name in INFILLER_ROWS:
            row = INFILLER_ROWS[name]
            _options(name, row.factory, row.defaults, console)
        else:
            console.print(f"preset {name}")
            for option, value in PRESETS[name].items():
                console.print(f"  {option} = {value}", markup=False)
        console.print()


def _options(
    name: str, function: Callable[..., Any], defaults: Mapping[str, Any], console: Console
) -> None:
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    meanings = {param.arg_name: param.description or "" for param in parsed.params}
    console.print(f"{name}: {parsed.short_description}", markup=False)
    table = Table("option", "default", "meaning", box=None, title_justify="left")
    for option, default in defaults.items():
        shown = "required" if default is inspect.Parameter.empty else str(default)
        table.add_row(option, shown, " ".join(meanings.get(option, "").split()))
    console.print(table)


def _classes(classifier: str | None, console: Console) -> None:
    name = classifier_name(Explain(classifier=classifier))
    rows = SHIPPED | PACKAGED
    labels = rows[name].labels if name in rows else imagenet_labels()
    for index, label in enumerate(labels):
        console.print(f"{index:4} {label}", markup=False)
