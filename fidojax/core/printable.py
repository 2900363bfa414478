"""Text from outside in messages: without control characters."""

import unicodedata
from contextlib import suppress

_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make a terminal show the letters of a name in another order."""
_HIDDEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, undecodable bytes and line breaks."""


def printable(text: object) -> str:
    r"""Return a text in one line, with control characters and undecodable bytes as escapes.

    Bytes of a file's name that are not UTF-8 become `\xff`, line breaks `\n`. Names of files may
    hold line breaks and escape sequences, which would command the terminal.

    Args:
        text: the text; other objects are converted.
    """
    text = str(text)
    with suppress(UnicodeEncodeError):  # halves of pairs that no name of a file gave
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in _HIDDEN or letter in _OVERRIDES
        else letter
        for letter in text
    )
