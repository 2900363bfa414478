"""Several methods, classes or infills in one command: one setting for each combination."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from fidojax.cli.explainer import LOADERS
from fidojax.cli.method_options import PASSED_ON, foreign_options, known_options
from fidojax.cli.options import Explain, ExplainSeveral
from fidojax.cli.region import wants_region
from fidojax.cli.sources import pictures_apart
from fidojax.methods import METHOD_ROWS, method_row

TOGETHER = re.compile(r"\+(?=[A-Za-z])")
"""Between infillers under each of which a region has to hold: mean+blur, but not 1e+3."""


def settings_of(asked: ExplainSeveral) -> list[Explain]:
    """Return the command of each setting: every method with every infill and every class.

    An option that only some of the methods have is given to those. Several settings are compared by
    common numbers.

    Raises:
        ValueError: there is no such method, or none.
    """
    asked = pictures_apart(asked)
    methods = [method_row(name, "--method").name for name in asked.method]
    infills = [tuple(TOGETHER.split(text)) for text in asked.infill] or [()]
    targets = list(_each_first(asked.target)) or [()]
    single = {field.name: getattr(asked, field.name) for field in fields(Explain)}
    found = []
    for method, infill, target in itertools.product(methods, infills, targets):
        one = Explain(**single | {"method": method, "infill": infill, "target": target})
        found.append(_fitting(one, methods))
    found = list(dict.fromkeys(found))
    several = len(found) > 1
    return [replace(one, numbers=one.numbers or several) for one in found]


def _each_first(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The names with each of them at the first place: the class that is explained."""
    for at, name in enumerate(names):
        yield (name, *names[:at], *names[at + 1 :])


def _fitting(one: Explain, methods: Sequence[str]) -> Explain:
    """The command without options that other methods have and its own has not."""
    known = known_options(one.method)
    others = {name for method in methods for name in known_options(method)} - known.keys()
    left: dict[str, object] = {name: None for name in PASSED_ON if name in others}
    left.pop("objective", None)  # it is the region's, too
    names = [text.partition("=")[0].strip().replace("-", "_") for text in one.set]
    left["set"] = tuple(
        text for text, name in zip(one.set, names, strict=True) if name not in others
    )
    foreign = {method: one.preset and foreign_options(method, one.preset) for method in methods}
    if foreign[one.method] and not all(foreign.values()):
        left["preset"] = None
    required = METHOD_ROWS[one.method].required
    trained = {name for method in methods for name in METHOD_ROWS[method].required} & LOADERS.keys()
    if trained and not trained & {*required}:
        left["explainer"] = None
    rows = {method: METHOD_ROWS[method] for method in methods}
    row = rows[one.method]
    if not (row.fills or wants_region(one, row)) and any(
        other.fills or wants_region(one, other) for other in rows.values()
    ):
        left["infill"] = ()
    if not wants_region(one, row) or one.regions > 1:
        left["target"] = one.target[:1]  # it has no one region that could say something of others
    if row.all_classes and len(methods) > 1:
        left["target"] = ()
    return replace(one, **left)  # type: ignore[arg-type]
