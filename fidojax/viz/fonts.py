"""Fonts for names of files in any script, so that no character is drawn as an empty box."""

import functools

from matplotlib import font_manager, rcParams
from matplotlib.ft2font import FT2Font


def drawable(text: str) -> tuple[str, list[str]]:
    r"""Return a text and the font families that have its characters, the first one preferred.

    Installed fonts are searched for what Matplotlib's own font lacks. A character that no font has
    is written as its code, `\u732b`.
    """
    families = list(rcParams["font.family"])
    rest = set(text) - _has(_path(tuple(families)), frozenset(text))
    if not rest:
        return text, families
    for font in font_manager.fontManager.ttflist:
        # The font of last resort draws a box for every character.
        placeholder = font.name.startswith("Last Resort")
        found = frozenset() if placeholder else _has(font.fname, frozenset(rest))
        if found:
            families.append(font.name)
            rest -= found
        if not rest:
            break
    codes = {ord(letter): letter.encode("unicode_escape").decode() for letter in rest}
    return text.translate(codes), families


@functools.cache
def _path(families: tuple[str, ...]) -> str:
    return font_manager.findfont(font_manager.FontProperties(family=families))


@functools.lru_cache(maxsize=4096)
def _has(path: str, letters: frozenset[str]) -> frozenset[str]:
    """The letters that a font has; none if it cannot be read."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(letter for letter in letters if font.get_char_index(ord(letter)))
