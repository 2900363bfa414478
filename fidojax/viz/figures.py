"""Figures of explanations: a map over its picture, one explanation, a gallery, drawn samples.

The functions need only NumPy and Matplotlib. They return a figure and neither show nor save it:
notebooks show it, `figure.savefig(path)` writes it.

Maps are drawn in a perceptually uniform colour map, dark = unimportant. If the range of a map is
known, give it as `limits`, so that a colour means the same in every figure; else see `normalise`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fidojax.viz.fonts import drawable

SEQUENTIAL = "plasma"
"""Colour map of maps that are positive: larger is brighter."""
SPREAD = "cividis"
"""Colour map of standard deviations, unlike that of saliency maps."""
DIVERGING = "RdBu_r"
"""Colour map of symmetric maps: red supports the class, blue opposes it, white is zero."""

Limits = tuple[float, float]


@dataclass(frozen=True)
class Exhibit:
    """One explanation with its captions, each one line of about 35 characters.

    Attributes:
        image: "h w c" in [0, 1], one or three channels.
        saliency: "h w", larger = more important.
        title: the image's name.
        prediction: the caption under the title, for instance the class and its probability.
        meaning: the meaning of the map's values.
        target: the explained class.
        mixture: "h w c", the picture that the classifier saw with dropped pixels filled in; None
            for methods without one.
        verdict: the share that was kept, and the target's probability on the mixture.
        limits: the values at the ends of the colour bar; None as in `normalise`.
        symmetric: the map has two signs; see `normalise`.
        deviation: "h w", the standard deviation of each pixel in the map's units; None if unknown.
    """

    image: Float[np.ndarray, "h w c"]
    saliency: Float[np.ndarray, "h w"]
    title: str = "image"
    prediction: str = ""
    meaning: str = ""
    target: str = ""
    mixture: Float[np.ndarray, "h w c"] | None = None
    verdict: str = ""
    limits: Limits | None = None
    symmetric: bool = False
    deviation: Float[np.ndarray, "h w"] | None = None


def normalise(
    saliency: Float[np.ndarray, "*n h w"], limits: Limits | None = None, *, symmetric: bool = False
) -> tuple[Float[np.ndarray, "*n h w"], Limits]:
    """Bring a map to [0, 1], where 0 and 1 are the ends of the colour map.

    Without `limits` the ends are the 1st and the 99th percentile of the map, so that single
    extreme pixels do not swallow the scale; values beyond are clipped. With `symmetric` the ends
    are plus and minus the 99th percentile of the absolute values, and 0.5 means zero. A constant
    map becomes 0 (symmetric: 0.5).

    Returns:
        The map in [0, 1] and the values that 0 and 1 stand for.

    Raises:
        ValueError: the map has values that are not finite, or the limits are not in order.
    """
    if not np.isfinite(saliency).all():
        raise ValueError("saliency has values that are not finite: there is nothing to draw")
    if limits is None and symmetric:
        end = float(np.percentile(np.abs(saliency), 99)) or 1.0
        limits = (-end, end)
    elif limits is None:
        low, high = (float(value) for value in np.percentile(saliency, (1, 99)))
        limits = (low, high) if high > low else (low, low + 1.0)
    low, high = limits
    if not high > low:
        raise ValueError(f"limits are {limits}, expected the smaller one first")
    return np.clip((saliency - low) / (high - low), 0, 1).astype(np.float32), (low, high)


def overlay(
    image: Float[np.ndarray, "h w c"],
    saliency: Float[np.ndarray, "rows columns"],
    *,
    limits: Limits | None = None,
    symmetric: bool = False,
    opacity: float = 0.5,
) -> Float[np.ndarray, "h w 3"]:
    """Lay the map's colours over a grey version of the picture.

    Args:
        image: values in [0, 1], one or three channels.
        saliency: a map of the image's height and width.
        limits, symmetric: as in `normalise`.
        opacity: how much the colours cover the picture, in [0, 1].

    Returns:
        Values in [0, 1].

    Raises:
        ValueError: the shapes do not fit, or as `normalise`.
    """
    if image.shape[:2] != saliency.shape:
        raise ValueError(
            f"saliency has shape {saliency.shape}, expected the image's {image.shape[:2]}"
        )
    values, _ = normalise(saliency, limits, symmetric=symmetric)
    grey = image.mean(axis=2, keepdims=True)
    return ((1 - opacity) * grey + opacity * _colours(values, symmetric)).astype(np.float32)


def figure(exhibit: Exhibit) -> Figure:
    """Draw one explanation: the image, the map, its deviation, the overlay, the mixture."""
    return gallery([exhibit], width=12.0)


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
    bars = 1 + any(exhibit.deviation is not None for exhibit in exhibits)
    panels = 2 + bars + any(exhibit.mixture is not None for exhibit in exhibits)
    side = (width - (panels + 1) * _GAP - bars * _BAR) / panels
    heights = [side * e.image.shape[0] / e.image.shape[1] for e in exhibits]
    height = sum(heights) + len(exhibits) * _CAPTION + _GAP
    drawing = Figure(figsize=(width, height), facecolor="white")
    top = height
    for exhibit, tall in zip(exhibits, heights, strict=True):
        top -= _CAPTION + tall
        _draw_row(_Row(drawing, bars, top, side, tall), exhibit)
    return drawing


# Inches: between panels, for the colour bar with its numbers, for two lines over a panel.
_GAP, _BAR, _CAPTION = 0.12, 0.5, 0.52


@dataclass(frozen=True)
class _Row:
    """The layout of a row of panels, in inches; panels 1 to `bars` have a colour bar."""

    drawing: Figure
    bars: int
    bottom: float
    side: float
    tall: float

    def panel(self, number: int, title: str, caption: str) -> Axes:
        axis = _axes(self.drawing, self._left(number), self.bottom, self.side, self.tall)
        axis.set_axis_off()
        place = {"transform": axis.transAxes, "ha": "center", "va": "bottom"}
        up = 1 / (72 * self.tall)  # one point of the panel's height
        title, fonts = drawable(title)
        # Few fonts of other scripts have a bold face, and Matplotlib logs each that has none.
        weight = "bold" if len(fonts) == 1 else "normal"
        axis.text(
            0.5, 1 + 17 * up, _short(title), fontsize=10, weight=weight, family=fonts, **place
        )
        caption, fonts = drawable(caption)
        axis.text(0.5, 1 + 4 * up, _short(caption), fontsize=9, color="0.3", family=fonts, **place)
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
        low, high = limits
        drawn = self.panel(number, title, caption).imshow(
            np.clip(values, low, high), cmap=colours, vmin=low, vmax=high
        )
        left = self._left(number) + self.side + 0.5 * _GAP
        ends = (bool(values.min() < low), bool(values.max() > high))
        bar = self.drawing.colorbar(
            drawn,
            cax=_axes(self.drawing, left, self.bottom, 0.12, self.tall),
            extend=_EXTENDED[ends],
            extendfrac=0.03,
        )
        bar.ax.tick_params(labelsize=7, length=2, color="0.4", labelcolor="0.3")
        bar.outline.set_visible(False)  # type: ignore[operator]

    def _left(self, number: int) -> float:
        bars = min(max(number - 1, 0), self.bars)
        return _GAP + number * (self.side + _GAP) + _BAR * bars


def _draw_row(row: _Row, exhibit: Exhibit) -> None:
    _show(row.panel(0, exhibit.title, exhibit.prediction), exhibit.image)
    _, limits = normalise(exhibit.saliency, exhibit.limits, symmetric=exhibit.symmetric)
    colours = _colour_map(exhibit.symmetric)
    row.coloured(1, "saliency map", exhibit.meaning, exhibit.saliency, limits, colours)
    if exhibit.deviation is not None:
        _, ends = normalise(exhibit.deviation)
        row.coloured(2, "standard deviation", "in the map's units", exhibit.deviation, ends, SPREAD)
    covered = overlay(exhibit.image, exhibit.saliency, limits=limits, symmetric=exhibit.symmetric)
    _show(row.panel(1 + row.bars, "map over image", exhibit.target), covered)
    if exhibit.mixture is not None:
        _show(row.panel(2 + row.bars, "what the classifier saw", exhibit.verdict), exhibit.mixture)


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
    size = (_GAP + across * (side + _GAP), rows * (tall + 0.3) + _GAP)
    drawing = Figure(figsize=size, facecolor="white")
    for place, panel in enumerate(values):
        row, column = divmod(place, across)
        bottom = size[1] - (row + 1) * (tall + 0.3)
        axis = _axes(drawing, _GAP + column * (side + _GAP), bottom, side, tall)
        axis.set_axis_off()
        axis.set_title(f"sample {place}" if place else "mean", fontsize=9, pad=3)
        axis.imshow(panel, cmap=SEQUENTIAL, vmin=0, vmax=1)
    return drawing


# Whether the map goes beyond the colour bar's ends -> the arrows that say so.
_EXTENDED = {
    (False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both",
}  # fmt: skip


def _axes(drawing: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    across, up = drawing.get_size_inches()
    return drawing.add_axes((left / across, bottom / up, width / across, height / up))


def _show(axis: Axes, image: np.ndarray) -> None:
    pixels = np.clip(image, 0, 1)
    axis.imshow(pixels if pixels.shape[2] == 3 else pixels[..., 0], cmap="gray", vmin=0, vmax=1)


def _short(text: str, most: int = 42) -> str:
    text = text.replace("$", r"\$")  # a file name is no formula
    return text if len(text) <= most else f"{text[: most // 2 - 1]} … {text[-most // 2 + 2 :]}"


def _colour_map(symmetric: bool) -> str:
    return DIVERGING if symmetric else SEQUENTIAL


def _colours(values: np.ndarray, symmetric: bool) -> np.ndarray:
    return matplotlib.colormaps[_colour_map(symmetric)](values)[..., :3]
