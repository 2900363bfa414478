"""One call from explanations to a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

from fidojax.methods import method_row
from fidojax.types import Explanation
from fidojax.viz.exhibit import Exhibit, View
from fidojax.viz.gallery import full_width, gallery

GRAY = 0.5
"""What is shown of a picture outside its region."""


def show(
    explanation: Explanation,
    images: Float[Array, "*n h w c"] | np.ndarray,
    *,
    names: Sequence[str] | None = None,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw explanations as a method or `fidojax.explain_batch` returns them, one row each.

    The panels are the picture, the map, its standard deviation, the map over the picture and, where
    the explanation has one, the region that carries the class, with its probability. The figure is
    returned; a notebook shows it, `figure.savefig(path)` writes it.

    Args:
        explanation: of one picture, or of a batch.
        images: "h w c", or "n h w c" of a batch, values in [0, 1].
        names: a title for each picture; "image 0", ... when None.
        method: the name of the method, which tells what the values of its maps are; when None, the
            colours end at the 1st and 99th percentile of each map.
        options: the method's options, which decide whether a map shows what is kept or dropped.

    Raises:
        ValueError: the shapes do not fit, a map is not finite, or there is no such method.

    Example:
        >>> explanation = fidojax.explain_batch("rise", classifier, images, targets)
        >>> figure = fidojax.viz.show(explanation, images, method="rise")
        >>> figure.savefig("maps.png")
    """
    pictures = np.asarray(images, np.float32)
    maps = np.asarray(explanation.saliency, np.float32)
    if pictures.ndim not in (3, 4) or maps.shape != pictures.shape[:-1]:
        raise ValueError(
            f"images have shape {pictures.shape}, expected ({', '.join(map(str, maps.shape))}, c),"
            f" since the maps have shape {maps.shape}"
        )
    spread = getattr(explanation.info, "standard_deviation", None)
    region = getattr(explanation.info, "region", None)
    if pictures.ndim == 3:
        batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], (pictures, maps, spread, region))
        pictures, maps, spread, region = batch
    titles = [f"image {number}" for number in range(len(maps))] if names is None else list(names)
    if len(titles) != len(maps):
        raise ValueError(f"names are {len(titles)}, expected one for each of {len(maps)} images")
    row = None if method is None else method_row(method)
    exhibits = []
    for number, (picture, saliency, title) in enumerate(zip(pictures, maps, titles, strict=True)):
        views, warning = _view(region, number, picture)
        signed = bool(saliency.min() < 0) if row is None else row.is_signed(saliency)
        exhibits.append(
            Exhibit(
                image=picture, saliency=saliency, title=title,
                meaning="" if row is None else row.meaning(options or {}),
                limits=None if row is None else row.limits, symmetric=signed,
                deviation=None if spread is None else np.asarray(spread[number], np.float32),
                views=views, warning=warning,
            )
        )  # fmt: skip
    return gallery(exhibits, width=full_width(exhibits))


def _view(region: Any, number: int, picture: np.ndarray) -> tuple[tuple[View, ...], str]:
    """The view of a picture's region, and what is to be said where it has none."""
    if region is None:
        return (), ""
    mask, area = np.asarray(region.mask[number]), float(region.area[number])
    if not np.isfinite(area):
        return (), "No region of this map carries the class."
    chances = np.asarray(region.probability[number])
    low, high = f"{chances.min():.0%}", f"{chances.max():.0%}"
    said = low if low == high else f"{low} to {high}"
    alone = mask[..., None] * picture + (1 - mask[..., None]) * np.float32(GRAY)
    caption = f"{area:.0%} of the picture\nprobability {said}"
    return (View(alone, "its region alone", caption, region=mask),), ""
