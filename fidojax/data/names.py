"""Names of files as valid text of one line, for ids, records, figures and terminals."""

import os
from pathlib import Path

from fidojax import core


def printable(name: str | Path) -> str:
    r"""Return a name of a file as valid text of one line.

    Bytes that are not UTF-8 become `\xff`, control characters and line breaks `\n`, `\x1b` or
    `\u2028`. All other names are returned unchanged.
    """
    try:
        text = os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # text that no file system gave
        text = str(name).encode("utf-8", "backslashreplace").decode()
    return core.printable(text)
