"""Names of files as valid text of one line, for ids, records, figures and terminals."""

import os
import unicodedata
from pathlib import Path

# Control characters, line and paragraph separators, and halves of surrogate pairs.
_HIDDEN = ("Cc", "Zl", "Zp", "Cs")
# Characters that reverse the direction of the text after them.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(name: str | Path) -> str:
    r"""Return a name of a file as valid text of one line.

    Bytes that are not UTF-8 become `\xff`, control characters and line breaks `\n`, `\x1b` or
    `\u2028`. All other names are returned unchanged.
    """
    try:
        text = os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # text that no file system gave
        text = str(name).encode("utf-8", "backslashreplace").decode()
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _HIDDEN or character in _TURNING
        else character
        for character in text
    )
