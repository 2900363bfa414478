"""Checks of options: unknown names, with suggestions, and counts below 1."""

import difflib
import re
from collections.abc import Iterable


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """Raise ValueError, with suggestions, unless `name` is one of the known ones."""
    known = list(known)
    if name not in known:
        raise ValueError(f"{what}: there is no {name!r}; {suggest(name, known)}")


def suggest(name: str, known: Iterable[str], most: int = 3) -> str:
    """Return a clause with the known names that resemble `name`, or else with all of them."""
    known = list(known)
    near = similar(name, known, most)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"it is one of {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}"


def similar(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return at most `most` of the known names that resemble `name`.

    Slips of the pen come first, then names of several words, one of which is `name`.
    """
    known = list(known)
    lowered = {word.lower(): word for word in reversed(known)}
    wanted = name.lower()
    words = [word.lower() for word in known if wanted in re.split(r"[^a-z0-9]+", word.lower())]
    slips = difflib.get_close_matches(wanted, lowered, most, 0.85)
    near = [*slips, *words, *difflib.get_close_matches(wanted, lowered, most, 0.6)]
    near = [*dict.fromkeys(near)][:most]
    if not near:  # part of a longer name
        near = [low for low in lowered if len(name) > 2 and wanted in low][:most]
    return [lowered[word] for word in near]


def check_count(**counts: int) -> None:
    """Raise ValueError unless every named option is at least 1."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")
