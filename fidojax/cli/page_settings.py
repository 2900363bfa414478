"""The settings of runs in words: what they share, and what tells them apart."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fidojax.cli.method_options import differing

Settings = Mapping[str, Any]
IN_WORDS = ("method", "objective", "infill", "preset", "classifier", "target")
"""The settings that `parts` always puts into words; of the others, those that differ."""


class Headings(NamedTuple):
    """The headings of several runs, in their order.

    Attributes:
        whole: all that is worth saying of each.
        own: what tells each from the others; its method where nothing does.
        shared: what all have in common.
    """

    whole: list[str]
    own: list[str]
    shared: str


def headings(runs: Sequence[Mapping[str, Any]]) -> Headings:
    """Return the headings of stored runs.

    Args:
        runs: as `ResultsFolder.runs` reads them.
    """
    said = [parts(run) for run in runs]
    if any("target" in words for words in said):
        given = [{"target": "predicted class"} | words for words in said]
        said = [{name: w[name] for name in IN_WORDS if name in w} | w for w in given]
    flats = [flat(run["settings"]) for run in runs]
    for words, one in zip(said, flats, strict=True):  # settings that are rarely worth a word
        alike = [other for texts, other in zip(said, flats, strict=True) if _same(texts, words)]
        telling = {
            name: f"{name} {plain(value)}"
            for name, value in one.items()
            if name not in words and any(other.get(name) != value for other in alike)
        }
        words |= telling
    names = list(dict.fromkeys(name for words in said for name in words))
    common = [name for name in names if len({words.get(name) for words in said}) == 1]
    own = [
        " · ".join(text for name, text in words.items() if name not in common) or words["method"]
        for words in said
    ]
    shared = " · ".join(said[0][name] for name in common) if said else ""
    return Headings([" · ".join(words.values()) for words in said], own, shared)


def parts(run: Mapping[str, Any]) -> dict[str, str]:
    """What is always said of a run, by setting: options that differ from its preset included."""
    settings = run["settings"]
    target = settings["target"]
    region = settings.get("region") or {}
    infill = settings["infill"] and f"infill {_joined(settings['infill'])}"
    said = {
        "method": settings["method"],
        "objective": settings["options"].get("objective"),
        "infill": infill or (region and f"region under {_joined(region['infill'])}"),
        "preset": settings["preset"] and f"preset {settings['preset']}",
        "classifier": settings["classifier"],
        "target": target != "prediction" and f"class {class_names(run)[0]}",
    }
    said |= {
        name: f"{name} {plain(value)}"
        for name, value in differing(settings).items()
        if name not in IN_WORDS
    }
    return {name: str(text) for name, text in said.items() if text}


def class_names(run: Mapping[str, Any]) -> list[str]:
    """The names of the target, and of the classes that are compared with it.

    Runs of older versions have stored no names.
    """
    target = run["settings"]["target"]
    several = target if isinstance(target, list) else [target]
    return list(run.get("target_names") or map(str, several))


def flat(settings: Settings) -> dict[str, Any]:
    """The settings, those of regions and the method's options in one mapping."""
    found = {name: value for name, value in settings.items() if name not in ("options", "region")}
    region = settings.get("region") or {}
    return found | {f"region {name}": value for name, value in region.items()} | settings["options"]


def plain(value: Any) -> str:
    """A setting as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one.get(name) == other.get(name) for name in IN_WORDS)


def _joined(names: str | Sequence[str]) -> str:
    return names if isinstance(names, str) else " and ".join(names)
