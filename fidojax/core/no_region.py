"""Why a map has no region that holds, in a sentence."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fidojax.core.region import Region


class NoRegionWarning(RuntimeWarning):
    """A map has no region that holds."""


def why_none(region: Region, classes: int) -> str | None:
    """Return a clause that says why there is no region; None where there is one.

    Args:
        region: of one map, with values that are known (on the host).
        classes: the number of the classifier's classes.
    """
    if np.isfinite(region.area):
        return None
    p = np.asarray(region.original)
    if not np.isfinite(p):
        return "the classifier's output on the picture is not finite"
    if p <= p.dtype.type(1) / classes:
        return (
            f"the classifier does not know the class: p is {p:.2g} on the picture, at most"
            f" 1/{classes}, which is chance"
        )
    alone, without = np.asarray(region.probability), np.asarray(region.without)
    if not np.isfinite(alone).all():
        return "the map or an infill is not finite"
    return (
        f"no part of the picture holds in the order of the map: p is {_spread(alone)} on the"
        f" largest one, {_spread(without)} without it, and {p:.2g} on the picture"
    )


def warn_of_no_region(regions: Region | None, classes: int, ids: Sequence[Any]) -> None:
    """Warn of the images of a batch that have no region.

    Args:
        regions: of all images, with a leading axis; None where the method reads none out.
        classes: the number of the classifier's classes.
        ids: the names of the images.

    Warns:
        NoRegionWarning: how many there are, and why the first of them has none.
    """
    if regions is None:
        return
    missing = np.flatnonzero(~np.isfinite(regions.area)).tolist()
    if missing:
        first = Region(*(np.asarray(leaf)[missing[0]] for leaf in regions))
        more = f", and so for {len(missing) - 1} more images" if missing[1:] else ""
        warnings.warn(
            f"image {ids[missing[0]]} has no region that holds{more}: {why_none(first, classes)}",
            NoRegionWarning,
            stacklevel=3,
        )


def _spread(values: np.ndarray) -> str:
    low, high = (f"{value:.2g}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
