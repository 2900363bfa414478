"""Figures of explanations: one explanation, or a gallery of several, one row each.

The functions need only NumPy and Matplotlib. They return a figure and neither show nor save it:
notebooks show it, `figure.savefig(path)` writes it.

Maps are drawn in a perceptually uniform colour map, dark = unimportant. If the range of a map is
known, give it as `limits`, so that a colour means the same in every figure; else see `normalise`.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from fidojax.viz.exhibit import Exhibit
from fidojax.viz.layout import (
    BAR,
    GAP,
    Row,
    caption_height,
    caption_of,
    note_height,
    note_of,
    show,
)
from fidojax.viz.outline import frame, outline_regions
from fidojax.viz.overlay import SPREAD, colour_map, normalise, overlay

SIDE = 2.45
"""Inches: the width of a panel of `figure`."""


def figure(exhibit: Exhibit) -> Figure:
    """Draw one explanation.

    The panels are the image, the map, its deviation, the map over the image, and the pictures that
    the classifier was asked about. The figure is as wide as its panels need.
    """
    return gallery([exhibit], width=full_width([exhibit]))


def full_width(exhibits: Sequence[Exhibit]) -> float:
    """Inches of a gallery with panels as wide as those of `figure`."""
    bars, panels = _counts(exhibits)
    return panels * (SIDE + GAP) + GAP + bars * BAR


def gallery(exhibits: Sequence[Exhibit], *, width: float = 12.0) -> Figure:
    """Draw several explanations, one row each, with the panels of `figure`.

    Args:
        exhibits: the explanations.
        width: the width of the figure in inches; its height follows.

    Raises:
        ValueError: there are no exhibits, or as `overlay`.
    """
    if not exhibits:
        raise ValueError("exhibits is empty, expected at least one")
    bars, panels = _counts(exhibits)
    side = (width - (panels + 1) * GAP - bars * BAR) / panels
    lines = [_lines(exhibit, side) for exhibit in exhibits]
    talls = [side * e.image.shape[0] / e.image.shape[1] for e in exhibits]
    notes = [note_of(e.warning, width) if e.warning else None for e in exhibits]
    below = [0.0 if note is None else note_height(note) for note in notes]
    height = GAP + sum(talls) + sum(below) + sum(map(caption_height, lines))
    drawing = Figure(figsize=(width, height), facecolor="white")
    top = height
    for exhibit, tall, count, note, under in zip(exhibits, talls, lines, notes, below, strict=True):
        row = Row(drawing, bars, top - caption_height(count) - tall, side, tall, count)
        _draw(row, exhibit)
        if note is not None:
            row.note(note)
        top = row.bottom - under
    return drawing


def _counts(exhibits: Sequence[Exhibit]) -> tuple[int, int]:
    """The numbers of colour bars and of panels in a row."""
    bars = 1 + any(exhibit.deviation is not None for exhibit in exhibits)
    return bars, 2 + bars + max(len(exhibit.seen) for exhibit in exhibits)


def _lines(exhibit: Exhibit, side: float) -> int:
    """The largest number of lines of the captions."""
    captions = [exhibit.prediction, exhibit.meaning, exhibit.target]
    captions += [view.caption for view in exhibit.seen]
    return max(len(caption_of(caption, side).lines) for caption in captions)


def _draw(row: Row, exhibit: Exhibit) -> None:
    show(row.panel(0, exhibit.title, exhibit.prediction), exhibit.image)
    _, limits = normalise(exhibit.saliency, exhibit.limits, symmetric=exhibit.symmetric)
    colours = colour_map(exhibit.symmetric)
    row.coloured(1, "saliency map", exhibit.meaning, exhibit.saliency, limits, colours)
    if exhibit.deviation is not None:
        _, ends = normalise(exhibit.deviation)
        row.coloured(2, "standard deviation", "in the map's units", exhibit.deviation, ends, SPREAD)
    covered = overlay(exhibit.image, exhibit.saliency, limits=limits, symmetric=exhibit.symmetric)
    over = row.panel(1 + row.bars, "map over image", exhibit.target)
    show(over, covered)
    edges = outline_regions(over, exhibit.seen)
    several = sum(colour is not None for colour in edges) > 1
    for number, (view, colour) in enumerate(zip(exhibit.seen, edges, strict=True), 2 + row.bars):
        panel = row.panel(number, view.title, view.caption)
        show(panel, view.image)
        if several and colour is not None:
            frame(panel, colour)
