"""The layout of figures in inches: rows of panels with their texts and colour bars."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fidojax.viz.labels import Label, fitted
from fidojax.viz.overlay import Limits

GAP, BAR = 0.14, 0.5
"""Inches between panels, and for the colour bar with its numbers."""
TITLE, CAPTION, NOTE = 10.0, 9.0, 9.0
"""Points: the sizes of a panel's title, of the lines under it, and of a row's warning."""
LINES = 4
"""The largest number of lines of a caption."""
SPACING = 1.25
"""The distance of two lines, as a multiple of the size."""

# Whether the map goes beyond the colour bar's ends -> the arrows that say so.
_EXTENDED = {
    (False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both",
}  # fmt: skip


def axes(drawing: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes at a place in inches from the lower left corner."""
    across, up = drawing.get_size_inches()
    return drawing.add_axes((left / across, bottom / up, width / across, height / up))


def show(axis: Axes, image: np.ndarray) -> None:
    """Draw a picture "h w c" with values in [0, 1], one or three channels."""
    pixels = np.clip(image, 0, 1)
    axis.imshow(pixels if pixels.shape[2] == 3 else pixels[..., 0], cmap="gray", vmin=0, vmax=1)


@dataclass(frozen=True)
class Row:
    """A row of panels; panels 1 to `bars` have a colour bar.

    Attributes:
        drawing: the figure.
        bars: the number of colour bars.
        bottom: the lower edge of the panels.
        side: the width of a panel.
        tall: the height of a panel.
        lines: the number of lines that the row has for captions.
    """

    drawing: Figure
    bars: int
    bottom: float
    side: float
    tall: float
    lines: int = 1

    def panel(self, number: int, title: str, caption: str) -> Axes:
        """Add a panel with its title and its caption above it."""
        axis = axes(self.drawing, self._left(number), self.bottom, self.side, self.tall)
        axis.set_axis_off()
        above = caption_height(self.lines) - 0.05
        _write(axis, self.tall, above, title_of(title, self.side), "black")
        _write(axis, self.tall, above - _points(TITLE), caption_of(caption, self.side), "0.3")
        return axis

    def coloured(
        self,
        number: int,
        title: str,
        caption: str,
        values: np.ndarray,
        limits: Limits,
        colours: str,
    ) -> None:
        """Add a panel of values with its colour bar."""
        low, high = limits
        drawn = self.panel(number, title, caption).imshow(
            np.clip(values, low, high), cmap=colours, vmin=low, vmax=high
        )
        left = self._left(number) + self.side + 0.5 * GAP
        ends = (bool(values.min() < low), bool(values.max() > high))
        bar = self.drawing.colorbar(
            drawn,
            cax=axes(self.drawing, left, self.bottom, 0.12, self.tall),
            extend=_EXTENDED[ends],
            extendfrac=0.03,
        )
        bar.ax.tick_params(labelsize=7, length=2, color="0.4", labelcolor="0.3")
        bar.outline.set_visible(False)  # type: ignore[operator]

    def note(self, label: Label) -> None:
        """Write a warning below the panels, over the whole width of the row."""
        width, _ = self.drawing.get_size_inches()
        height = note_height(label)
        band = axes(self.drawing, GAP, self.bottom - height, width - 2 * GAP, height - GAP)
        band.set(xticks=[], yticks=[], facecolor="#fff4e5")
        band.spines[["top", "bottom", "right"]].set_visible(False)
        band.spines["left"].set(color="#d9730d", linewidth=3)
        band.text(
            0.1 / (width - 2 * GAP), 0.5, "\n".join(label.lines), color="#8a4500", va="center",
            size=label.size, family=list(label.families), parse_math=False,
            transform=band.transAxes, linespacing=SPACING,
        )  # fmt: skip

    def _left(self, number: int) -> float:
        bars = min(max(number - 1, 0), self.bars)
        return GAP + number * (self.side + GAP) + BAR * bars


def title_of(title: str, side: float) -> Label:
    """A panel's title, as it fits."""
    return fitted(title, 72 * side, TITLE, bold=True)


def caption_of(caption: str, side: float) -> Label:
    """The lines under a panel's title, as they fit."""
    return fitted(caption, 72 * side, CAPTION, lines=LINES)


def caption_height(lines: int) -> float:
    """Inches for a title and that many lines under it."""
    return _points(TITLE) + lines * _points(CAPTION) + 0.09


def note_of(text: str, width: float) -> Label:
    """A warning as it fits the width of a figure."""
    return fitted(text, 72 * (width - 2 * GAP - 0.3), NOTE, lines=4)


def note_height(label: Label) -> float:
    """Inches for a warning, with the gap above it."""
    return len(label.lines) * _points(NOTE) + 0.14 + GAP


def _points(size: float) -> float:
    """The height of a line of that size in inches."""
    return SPACING * size / 72


def _write(axis: Axes, tall: float, above: float, label: Label, colour: str) -> None:
    """Write lines that begin that many inches above a panel of that height."""
    axis.text(
        0.5, 1 + above / tall, "\n".join(label.lines), size=label.size, weight=label.weight,
        family=list(label.families), color=colour, ha="center", va="top", parse_math=False,
        transform=axis.transAxes, linespacing=SPACING,
    )  # fmt: skip
