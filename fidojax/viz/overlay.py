"""Maps in colours: the scale of a map, and the map over its picture."""

import matplotlib
import numpy as np
from jaxtyping import Float

SEQUENTIAL = "plasma"
"""Colour map of maps that are positive: larger is brighter."""
SPREAD = "cividis"
"""Colour map of standard deviations, unlike that of saliency maps."""
DIVERGING = "RdBu_r"
"""Colour map of symmetric maps: red supports the class, blue opposes it, white is zero."""

Limits = tuple[float, float]
"""The values of a map at the lower and the upper end of the colours."""


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


def coloured(
    saliency: Float[np.ndarray, "h w"], *, limits: Limits | None = None, symmetric: bool = False
) -> Float[np.ndarray, "h w 3"]:
    """Return the map's colours, in [0, 1].

    Args:
        saliency: a map.
        limits, symmetric: as in `normalise`.

    Raises:
        ValueError: as `normalise`.
    """
    values, _ = normalise(saliency, limits, symmetric=symmetric)
    return _colours(values, symmetric)


def overlay(
    image: Float[np.ndarray, "h w c"],
    saliency: Float[np.ndarray, "rows columns"],
    *,
    limits: Limits | None = None,
    symmetric: bool = False,
    opacity: float = 0.65,
    brightness: float = 0.7,
) -> Float[np.ndarray, "h w 3"]:
    """Lay the map's colours over the picture, the more opaque the more important a pixel is.

    An unimportant pixel shows the picture itself, in its own colour and a little dimmed. The
    opacity rises linearly from 0 at the lower end of the colour map to `opacity` at the upper end;
    with `symmetric`, from zero to both ends.

    Args:
        image: values in [0, 1], one or three channels.
        saliency: a map of the image's height and width.
        limits, symmetric: as in `normalise`.
        opacity: the share of the map's colour at the most important pixels, in [0, 1].
        brightness: the factor on the picture where it is unimportant, in [0, 1]. It rises to 1
            with the importance.

    Returns:
        Values in [0, 1].

    Raises:
        ValueError: the shapes do not fit, or as `normalise`.
    """
    if image.shape[:2] != saliency.shape:
        raise ValueError(
            f"saliency has shape {saliency.shape}, expected the image's {image.shape[:2]}"
        )
    for name, value in (("opacity", opacity), ("brightness", brightness)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}, expected a number in [0, 1]")
    values, _ = normalise(saliency, limits, symmetric=symmetric)
    weight = (np.abs(2 * values - 1) if symmetric else values)[..., None]
    colours = _colours(values, symmetric)
    photo = (brightness + (1 - brightness) * weight) * np.clip(image, 0, 1)
    return ((1 - opacity * weight) * photo + opacity * weight * colours).astype(np.float32)


def _colours(values: np.ndarray, symmetric: bool) -> np.ndarray:
    """The colours of values in [0, 1] that `normalise` returns."""
    return matplotlib.colormaps[colour_map(symmetric)](values)[..., :3].astype(np.float32)


def colour_map(symmetric: bool) -> str:
    """The name of the colour map of a map."""
    return DIVERGING if symmetric else SEQUENTIAL
