"""Old names on the command line: they work for one release, each with one note."""

import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

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


@contextlib.contextmanager
def notes() -> Iterator[None]:
    """Print warnings about old names as one line each on standard error, each once."""
    said: set[str] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def note(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            text = str(message)
            if not issubclass(category, DeprecationWarning) or " is now called " not in text:
                show(message, category, *where, **more)
            elif text not in said:
                said.add(text)
                print(f"fidojax: {text}", file=sys.stderr)

        warnings.filterwarnings("always", ".* is now called ", DeprecationWarning)
        warnings.showwarning = note
        yield
