"""Figures of explanations: a map over its picture, one explanation, a gallery of many.

Only NumPy and Matplotlib; nothing is shown or saved here. Notebooks show what is returned,
`figure.savefig(path)` writes it.

Maps are drawn in a perceptually uniform colour map, dark = unimportant. Where a map has a known
range, give it as `limits` so that colours mean the same in every figure; else see `normalise`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SEQUENTIAL = "plasma"
"""Colour map of maps that are positive: larger is brighter."""
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
        prediction: under the title, for instance the class and its probability.
        meaning: what the map's values are.
        target: the class that is explained.
        mixture: "h w c", what the classifier saw of the explanation, if there is such a thing.
        verdict: how much was kept, and the target's probability on the mixture.
        limits: values at the ends of the colour bar; see `normalise` where None.
        symmetric: the map has two signs; see `normalise`.
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


def normalise(
    saliency: Float[np.ndarray, "h w"], limits: Limits | None = None, *, symmetric: bool = False
) -> tuple[Float[np.ndarray, "h w"], Limits]:
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
    """The map's colours over a grey version of the picture.

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
    """One explanation: the image, the map with its colour bar, the overlay, the mixture."""
    return gallery([exhibit], width=12.0)


def gallery(exhibits: Sequence[Exhibit], *, width: float = 12.0) -> Figure:
    """Several explanations, one row each, with the panels of `figure`.

    Args:
        width: of the figure in inches; its height follows.

    Raises:
        ValueError: there are no exhibits, or as `overlay`.
    """
    if not exhibits:
        raise ValueError("exhibits is empty, expected at least one")
    panels = 3 + any(exhibit.mixture is not None for exhibit in exhibits)
    side = (width - (panels + 1) * _GAP - _BAR) / panels
    heights = [side * e.image.shape[0] / e.image.shape[1] for e in exhibits]
    height = sum(heights) + len(exhibits) * _CAPTION + _GAP
    drawing = Figure(figsize=(width, height), facecolor="white")
    top = height
    for exhibit, tall in zip(exhibits, heights, strict=True):
        top -= _CAPTION + tall
        _draw_row(drawing, exhibit, top, side, tall)
    return drawing


# Inches: between panels, for the colour bar with its numbers, for two lines over a panel.
_GAP, _BAR, _CAPTION = 0.12, 0.5, 0.52


def _draw_row(drawing: Figure, exhibit: Exhibit, bottom: float, side: float, tall: float) -> None:
    def panel(number: int, title: str, caption: str) -> Axes:
        left = _GAP + number * (side + _GAP) + _BAR * (number > 1)
        axis = _axes(drawing, left, bottom, side, tall)
        axis.set_axis_off()
        place = {"transform": axis.transAxes, "ha": "center", "va": "bottom"}
        up = 1 / (72 * tall)  # one point of the panel's height
        axis.text(0.5, 1 + 17 * up, _short(title), fontsize=10, weight="bold", **place)
        axis.text(0.5, 1 + 4 * up, _short(caption), fontsize=9, color="0.3", **place)
        return axis

    _show(panel(0, exhibit.title, exhibit.prediction), exhibit.image)
    values, limits = normalise(exhibit.saliency, exhibit.limits, symmetric=exhibit.symmetric)
    low, high = limits
    drawn = panel(1, "saliency map", exhibit.meaning).imshow(
        low + values * (high - low), cmap=_colour_map(exhibit.symmetric), vmin=low, vmax=high
    )
    ends = (bool(exhibit.saliency.min() < low), bool(exhibit.saliency.max() > high))
    bar = drawing.colorbar(
        drawn,
        cax=_axes(drawing, 2 * side + 2.5 * _GAP, bottom, 0.12, tall),
        extend=_EXTENDED[ends],
        extendfrac=0.03,
    )
    bar.ax.tick_params(labelsize=7, length=2, color="0.4", labelcolor="0.3")
    bar.outline.set_visible(False)  # type: ignore[operator]
    covered = overlay(exhibit.image, exhibit.saliency, limits=limits, symmetric=exhibit.symmetric)
    _show(panel(2, "map over image", exhibit.target), covered)
    if exhibit.mixture is not None:
        _show(panel(3, "what the classifier saw", exhibit.verdict), exhibit.mixture)


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
