"""Rows of a study from text: METHOD[@PRESET][:OPTION=VALUE,...], such as fido@fast:steps=30."""

import ast
from collections.abc import Sequence
from typing import Any

from eval.controls import centre, random
from eval.explainers import VARIANTS, setting
from eval.holding_scores import record_region
from eval.study import StudyRow
from fidojax.core import check_name
from fidojax.methods import METHOD_ROWS
from fidojax.presets import PRESETS
from infillers import make_infill

CONTROLS = {"random": random, "centre": centre}
"""Rows whose maps do not depend on the picture, beside those of the methods that do not."""


def row_of_spec(spec: str, infill: Sequence[str], objective: str) -> StudyRow:
    """The row of a text.

    Without a preset a method has the options of `eval.explainers.setting`, with one those of the
    preset and of the text alone. A method that holds its region is given all infillers, another
    one that is evaluated per infiller the first, where the text has no `infill=NAME+NAME`.

    Args:
        spec: METHOD[@PRESET][:OPTION=VALUE,...], or a name of `CONTROLS`.
        infill: infillers, as `infillers.make_infill` takes them.
        objective: the value of the method's option `objective`, where it has that option and the
            text has none; "dual" is given only to methods that hold their region.

    Raises:
        ValueError: there is no such method, preset or option.
    """
    name, _, text = spec.partition(":")
    method, _, preset = name.partition("@")
    if spec in CONTROLS:
        return StudyRow(CONTROLS[spec], {}, "controls")
    check_name("rows", method, [*CONTROLS, *METHOD_ROWS, *VARIANTS])
    given = _options(spec, text)
    if preset:
        check_name(f"preset of {spec}", preset, PRESETS)
        options, why = dict(PRESETS[preset]), f"preset {preset}"
    else:
        of = setting(method)
        method, options, why = of.method, dict(of.options), of.why
    row = METHOD_ROWS[method]
    options |= given
    for option in options:
        check_name(f"option of {spec}", option, row.defaults)
    holds = options.get("hold") is not None
    if "infill" in given:
        options["infill"] = _infills(given["infill"].split("+"), many=holds)
    elif row.family or ("infill" in row.required and "infill" not in options):
        options["infill"] = _infills(infill if holds else infill[:1], many=holds)
    if "objective" in row.defaults and "objective" not in given:
        options["objective"] = objective if holds or objective != "dual" else "ssr"
    why = ", ".join(filter(None, (why, text)))
    group = "controls" if row.control else row.family
    cut = "absolute" if row.mask else "mean"
    return StudyRow(row.name, options, group, why, cut, record=record_region if holds else None)


def _infills(names: Sequence[str], *, many: bool) -> Any:
    found = [make_infill(name) for name in names]
    return tuple(found) if many or len(found) > 1 else found[0]


def _options(spec: str, text: str) -> dict[str, Any]:
    """NAME=VALUE,... with Python literals; any other value is a word."""
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"rows: expected METHOD[@PRESET][:OPTION=VALUE,...], got {spec!r}")
        try:
            found[name.strip()] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            found[name.strip()] = value
    return found
