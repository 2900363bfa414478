"""A sheet of panels: pictures, and explanations as the map over the picture with its region."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from fidojax.viz.exhibit import Exhibit, View
from fidojax.viz.layout import GAP, Row, caption_height, caption_of, show
from fidojax.viz.outline import outline_regions
from fidojax.viz.overlay import overlay


def sheet(panels: Sequence[Exhibit | View], *, columns: int = 4, width: float = 9.0) -> Figure:
    """Draw many explanations or pictures side by side, for instance one picture by all methods.

    The panel of an explanation has its title, its verdict as the caption, the map over the image,
    and the outlines of the regions of its views. That of a view is the picture itself.

    Args:
        panels: the explanations and pictures, row by row.
        columns: the number of panels in a row.
        width: the width of the figure in inches; its height follows.

    Raises:
        ValueError: there are no panels, `columns` is below 1, or as `overlay`.

    Example:
        >>> figure = viz.sheet([viz.Exhibit(image, saliency, "FIDO", verdict="12%")])
        >>> figure.savefig("methods.png")
    """
    if not panels:
        raise ValueError("panels is empty, expected at least one")
    if columns < 1:
        raise ValueError(f"columns is {columns}, expected at least 1")
    side = (width - GAP) / columns - GAP
    lines = max(len(caption_of(_caption(panel), side).lines) for panel in panels)
    rows = [panels[first : first + columns] for first in range(0, len(panels), columns)]
    talls = [max(side * p.image.shape[0] / p.image.shape[1] for p in row) for row in rows]
    height = GAP + sum(talls) + len(rows) * (caption_height(lines) + GAP)
    drawing = Figure(figsize=(width, height), facecolor="white")
    top = height - GAP
    for row, tall in zip(rows, talls, strict=True):
        place = Row(drawing, 0, top - caption_height(lines) - tall, side, tall, lines)
        for number, panel in enumerate(row):
            axis = place.panel(number, panel.title, _caption(panel))
            if isinstance(panel, View):
                show(axis, panel.image)
            else:
                known = {"limits": panel.limits, "symmetric": panel.symmetric}
                show(axis, overlay(panel.image, panel.saliency, **known))
                outline_regions(axis, panel.seen)
        top = place.bottom - GAP
    return drawing


def _caption(panel: Exhibit | View) -> str:
    return panel.caption if isinstance(panel, View) else panel.verdict
