"""`fidojax cite`: the papers of names, or of all that the runs of a folder used."""

from collections.abc import Iterator, Mapping
from typing import Any

from fidojax.cite import cite, uses
from fidojax.data import place


def cited(names: tuple[str, ...]) -> str:
    """Return the BibTeX of names and of folders of results; of everything without any.

    Raises:
        ValueError: a name is neither known nor a folder of results.
    """
    return cite(*dict.fromkeys(known for name in names for known in _known(name)))


def used_in(settings: Mapping[str, Any]) -> Iterator[str]:
    """The names in a run's settings that have papers, each infiller without its constants."""
    infill = settings["infill"]
    fills = infill if isinstance(infill, list) else [infill]
    region = settings.get("region", {}).get("infill", ())
    known = uses()
    for name in (settings["method"], settings["preset"], *fills, *region, settings["classifier"]):
        if name is not None and (bare := name.partition(":")[0]) in known:
            yield bare


def _known(name: str) -> list[str]:
    folder = place(name)
    if name in uses() or not folder.is_dir():
        return [name]
    from fidojax.cli.records import ResultsFolder  # it imports matplotlib

    runs = ResultsFolder(folder).runs().values()
    found = [used for run in runs for used in used_in(run["settings"])]
    if not found:
        raise ValueError(f"cite {name}: the folder has no runs of fidojax explain")
    return found
