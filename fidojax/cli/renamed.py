"""Old names on the command line: they work for one release, each with one note."""

from collections.abc import Sequence

from fidojax.core import warn_renamed

OPTIONS = {"--dtype": "--precision"}
"""Old options and what they are called now."""


def current_arguments(arguments: Sequence[str]) -> list[str]:
    """Replace old names of options by the present ones, with a DeprecationWarning for each."""
    found = []
    for word in arguments:
        name, equals, value = word.partition("=")
        if name in OPTIONS:
            warn_renamed("option", name, OPTIONS[name])
        found.append(f"{OPTIONS.get(name, name)}{equals}{value}")
    return found
