"""Text from outside in messages: without control characters."""

import unicodedata

_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make a terminal show the letters of a name in another order."""
_HIDDEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, undecodable bytes and line breaks."""


def printable(text: object) -> str:
    """Return a text in one line, with control characters and undecodable bytes as escapes.

    Names of files may hold line breaks and escape sequences, which would command the terminal.

    Args:
        text: the text; other objects are converted.
    """
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in _HIDDEN or letter in _OVERRIDES
        else letter
        for letter in str(text)
    )
