"""Lines of text that fit the width of a panel, measured in the fonts that draw them."""

import functools
from dataclasses import dataclass

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from fidojax.viz.fonts import drawable

SMALLEST = 0.8
"""The share of its size to which a line may shrink before it is shortened."""

HINTED = 1.05
"""By how much a line may become wider when its letters are fitted to the pixels of a screen."""
NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Label:
    """A text as it is drawn.

    Attributes:
        lines: the lines, each of which fits.
        size: the size of the font in points.
        families: the font families that have the text's characters, the first one preferred.
        weight: "bold" or "normal".
    """

    lines: tuple[str, ...]
    size: float
    families: tuple[str, ...]
    weight: str


def fitted(text: str, width: float, size: float, *, bold: bool = False, lines: int = 1) -> Label:
    """Return a text that fits a width: broken between words, set smaller, or shortened.

    Line breaks in the text are kept. A text that needs more lines than there may be is set in a
    smaller size, and if that is not enough, the line that is too long loses its middle, so that
    the end of a file name stays.

    Args:
        text: the text, in any script.
        width: the width in points.
        size: the largest size of the font in points.
        bold: draw it bold, where all of its characters have a bold face.
        lines: the largest number of lines.
    """
    # Part by part, since a newline has no glyph.
    drawn = [drawable(part.replace(" %", NO_BREAK + "%")) for part in text.split("\n")]
    text = "\n".join(part for part, _ in drawn)
    families = list(dict.fromkeys(family for _, found in drawn for family in found))
    # Few fonts of other scripts have a bold face, and Matplotlib logs each that has none.
    label = Label((), size, tuple(families), "bold" if bold and len(families) == 1 else "normal")

    def wide(line: str, size: float) -> float:
        return _width(line, size, label.families, label.weight)

    smallest = SMALLEST * size
    for points in (size, smallest):
        broken = _broken(text, lambda line: wide(line, points) <= width)  # noqa: B023
        if len(broken) <= lines and all(wide(line, points) <= width for line in broken):
            return Label(tuple(broken), points, label.families, label.weight)
    broken = [*broken[: lines - 1], " ".join(broken[lines - 1 :])]
    kept = tuple(_shortened(line, lambda one: wide(one, smallest) <= width) for line in broken)
    return Label(kept, smallest, label.families, label.weight)


def _broken(text: str, fits) -> list[str]:
    """Break a text between words, so that each line fits unless it is a single word."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and not fits(longer):
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def _shortened(line: str, fits) -> str:
    """Replace as little of the middle as needed by an ellipsis."""
    if fits(line):
        return line
    few, many = 0, len(line)  # characters that are kept: `few` fit, `many` do not
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (middle, many) if fits(_elided(line, middle)) else (few, middle)
    return _elided(line, few)


def _elided(line: str, kept: int) -> str:
    """Keep that many characters, of which more at the end: there differ the names of files."""
    end = (2 * kept + 2) // 3
    return f"{line[: kept - end].rstrip()}…{line[len(line) - end :].lstrip()}"


@functools.lru_cache(maxsize=4096)
def _width(line: str, size: float, families: tuple[str, ...], weight: str) -> float:
    """The largest width of a line in points, at any resolution."""
    font = FontProperties(family=list(families), size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(line, font, ismath=False)
    return HINTED * width
