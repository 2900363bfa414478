"""What the commands print: no lines of source, no control characters, no crash."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fidojax.core import printable


@contextmanager
def terminal(program: str) -> Iterator[None]:
    """A context in which warnings are one line each, each once, and no letter ends the program.

    Letters that the terminal's encoding lacks are shown as escapes.

    Args:
        program: the name that the lines begin with.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    said: set[str] = set()

    def say(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        text = printable(" ".join(str(message).split()))
        if text not in said:
            said.add(text)
            print(f"{program}: {text}", file=sys.stderr)

    with warnings.catch_warnings():
        # A font lacks letters of a name; nothing is wrong with the result.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        warnings.filterwarnings("always", ".* is now called ", DeprecationWarning)  # old names
        warnings.showwarning = say
        yield
