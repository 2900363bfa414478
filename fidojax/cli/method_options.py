"""The method's options: from its defaults, a preset and the command line."""

import ast
import json
from collections.abc import Mapping
from typing import Any

from fidojax.cli.explainer import LOADERS
from fidojax.cli.options import Explain
from fidojax.cli.ranges import flag
from fidojax.cli.region import HOLD, hold_of, wants_region
from fidojax.core import check_name
from fidojax.methods import METHOD_ROWS
from fidojax.presets import PRESETS

PASSED_ON = ("objective", "steps", "samples", "lam", "tv", "size", "learning_rate", "score")
"""Options of the command line that go to the method under the same name."""


def chosen_options(asked: Explain) -> tuple[str | None, dict[str, Any]]:
    """Return the preset's name, and the options that the preset or the user has chosen.

    Raises:
        ValueError: the method has no such option, or a text is not NAME=VALUE.
    """
    known = known_options(asked.method)
    preset = asked.preset or METHOD_ROWS[asked.method].preset
    chosen: dict[str, Any] = {}
    if preset is not None:
        foreign = foreign_options(asked.method, preset)
        if foreign:
            raise ValueError(
                f"--preset: {preset} is not for the method {asked.method}, which has no option "
                f"{' or '.join(foreign)}"
            )
        chosen |= PRESETS[preset]
    given = {name: getattr(asked, name) for name in PASSED_ON}
    if "objective" not in known and wants_region(asked, METHOD_ROWS[asked.method]):
        del given["objective"]  # it is the region's
    if "hold" in known and asked.hold is not None:
        chosen["hold"] = hold_of(asked.hold)
    elif "hold" in known and asked.regions > 1:  # further regions are searched for
        chosen["hold"] = chosen.get("hold") or HOLD
    for name, value in given.items():
        if value is not None:
            if name not in known:
                raise ValueError(f"{flag(name)}: the method {asked.method} has no such option")
            chosen[name] = value
    for entry in asked.set:
        name, equals, text = entry.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ValueError(f"--set: expected NAME=VALUE, got {entry!r}")
        check_name(f"--set for {asked.method}", name, known)
        chosen[name] = _value(text)
    return preset, chosen


def complete(method: str, chosen: Mapping[str, Any], size: tuple[int, int, int]) -> dict[str, Any]:
    """Return all options of the method: the chosen ones, and the defaults of the others.

    On small pictures the map is as fine as the picture, as VDSM's authors did for MNIST: a quarter
    of 28 would blur strokes away.

    Args:
        method: the name of the method.
        chosen: the chosen options.
        size: "h w c" of the classifier's pictures.
    """
    options = known_options(method) | dict(chosen)
    if "size" in options and options["size"] is None and size[0] == size[1] <= 32:
        options["size"] = size[0]
    return options


def foreign_options(method: str, preset: str) -> list[str]:
    """The options of a preset that the method does not have.

    Raises:
        ValueError: there is no such preset.
    """
    check_name("--preset", preset, PRESETS)
    return sorted(PRESETS[preset].keys() - known_options(method).keys())


def differing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options in stored settings that differ from the preset, or without one the defaults.

    Args:
        settings: `method`, `preset` and `options` of a run, maybe of an older version.
    """
    row = METHOD_ROWS.get(settings["method"])
    if row is None:
        return dict(settings["options"])
    usual = row.defaults | PRESETS.get(settings["preset"] or "", {})
    usual = json.loads(json.dumps(usual, default=str))  # as it is stored
    return {name: value for name, value in settings["options"].items() if value != usual.get(name)}


def known_options(method: str) -> dict[str, Any]:
    """The options with their defaults, without those that other options of the command make."""
    made = ("infill", "boxes", "available", *LOADERS)
    known = METHOD_ROWS[method].defaults
    return {name: default for name, default in known.items() if name not in made}


def _value(text: str) -> Any:
    """Read a Python literal, true, false or none; any other text is a word."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.strip().lower(), text.strip())
