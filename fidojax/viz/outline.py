"""Outlines of regions, bright on a dark edge, that are seen over any picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from fidojax.viz.exhibit import View

OUTLINES = ("#ffffff", "#00e5ff", "#7dff5c", "#ff9df2")
"""Colours of the outlines of regions, in their order; all are bright and stand on a dark edge."""
LONGEST = 8
"""A longer edge is not drawn, in multiples of the picture's height and width: the lines of
scattered pixels would cover the map."""


def outline_regions(axis: Axes, seen: Sequence[View]) -> list[str | None]:
    """Outline the regions of panels, and return the colour of each panel's outline."""
    colours: list[str | None] = []
    for view in seen:
        count = sum(colour is not None for colour in colours)
        colours.append(None if view.region is None else OUTLINES[count % len(OUTLINES)])
        if view.region is not None:
            _outline(axis, view.region, OUTLINES[count % len(OUTLINES)])
    return colours


def frame(axis: Axes, colour: str) -> None:
    """Frame a panel in the colour of its region's outline."""
    edge = Rectangle((0, 0), 1, 1, transform=axis.transAxes, fill=False, clip_on=False)
    edge.set(edgecolor=colour, linewidth=3)
    edge.set_path_effects([Stroke(linewidth=4.4, foreground="black", alpha=0.75), Normal()])
    axis.add_patch(edge)


def _outline(axis: Axes, region: np.ndarray, colour: str) -> None:
    inside = np.asarray(region) > 0.5
    edge = sum(int(np.diff(inside, axis=along).sum()) for along in (0, 1))
    if 0 < edge <= LONGEST * sum(inside.shape):
        lines = axis.contour(np.asarray(region), levels=[0.5], colors=[colour], linewidths=1.1)
        lines.set_path_effects([Stroke(linewidth=2.4, foreground="black", alpha=0.75), Normal()])
