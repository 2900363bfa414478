"""Figure of a map and samples from its distribution."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from fidojax.viz.layout import GAP, axes
from fidojax.viz.overlay import SEQUENTIAL, normalise


def samples(
    saliency: Float[np.ndarray, "h w"],
    drawn: Float[np.ndarray, "n h w"],
    *,
    across: int = 6,
    side: float = 1.9,
) -> Figure:
    """Draw a map and samples from its distribution in the same colours.

    Args:
        saliency: the mean.
        drawn: the samples.
        across: panels in a row.
        side: the width of a panel in inches.

    Raises:
        ValueError: as `normalise`.
    """
    maps = np.concatenate([saliency[None], drawn])
    values, _ = normalise(maps)
    across = min(across, len(maps))
    rows = -(-len(maps) // across)
    tall = side * saliency.shape[0] / saliency.shape[1]
    size = (GAP + across * (side + GAP), rows * (tall + 0.3) + GAP)
    drawing = Figure(figsize=size, facecolor="white")
    for place, panel in enumerate(values):
        row, column = divmod(place, across)
        bottom = size[1] - (row + 1) * (tall + 0.3)
        axis = axes(drawing, GAP + column * (side + GAP), bottom, side, tall)
        axis.set_axis_off()
        axis.set_title(f"sample {place}" if place else "mean", fontsize=9, pad=3)
        axis.imshow(panel, cmap=SEQUENTIAL, vmin=0, vmax=1)
    return drawing
