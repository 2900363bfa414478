"""More than one reason: the regions of a picture that carry the class, each by itself."""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from fidojax.core import (
    NoRegionWarning,
    Region,
    as_classifier,
    as_fills,
    by_name,
    check_classifier,
    check_count,
    check_hold,
    options_of,
    warn_of_no_region,
)
from fidojax.engine.admission import as_images
from fidojax.engine.explain import explain_batch
from fidojax.engine.measure import measure_batch
from fidojax.engine.options import method_by_name
from fidojax.types import Classifier, Explanation, Images, Infiller, Method


class Regions(NamedTuple):
    """The regions of the pictures of a batch; NaN for those that a picture does not have.

    Attributes:
        count: "n", the number of regions of each picture.
        region: `Region` with leaves "n regions ...", in the order in which they were found. The
            first of a picture without any has the probabilities that say why.
        saliency: "n regions h w", the map that each region was read out of.
    """

    count: Int[np.ndarray, " n"]
    region: Region
    saliency: Float[np.ndarray, "n regions h w"]


def regions(
    method: str | Method,
    classifier: Classifier,
    images: Images | np.ndarray,
    targets: Int[Array, " n"] | np.ndarray | Sequence[int],
    *,
    infill: Infiller | str | tuple[Infiller | str, ...],
    hold: float | str = 0.9,
    objective: str = "ssr",
    regions: int = 4,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    ids: Sequence[int | str] | None = None,
    batch_size: int | None = None,
    first: Explanation | None = None,
    **run: Any,
) -> Regions:
    """Find the regions of every picture that hold by themselves and do not overlap.

    The first is the smallest region of the map that holds. The pixels of the regions before it are
    not available to the next one, as long as there is one. A method with the option `available`
    explains the rest of the picture anew; the map of any other is read out again. Pictures that
    have no further region are not explained again.

    Args:
        method: a name in `fidojax.METHODS`, or any function of the method signature. One with the
            option `hold` is given `infill`, `hold` and `objective`, and reads its regions out
            itself; one that needs an infiller is given the first.
        classifier, images, targets, seed, ids, batch_size: as `fidojax.explain_batch` takes them.
        infill, hold, objective: of the regions, as `fidojax.region` takes them.
        regions: the largest number of regions of a picture.
        options: the method's further options.
        first: the explanations of the pictures by this method with these options, leaves with a
            leading axis; where they are given, the first map is not made again.
        run: the other arguments of `fidojax.explain_batch`.

    Warns:
        NoRegionWarning: a picture has no region at all, with the reason.

    Raises:
        ValueError: as `fidojax.explain_batch` and `fidojax.region`.

    Example:
        >>> found = fidojax.regions(
        ...     "grad_cam", classifier, images, targets, infill=infillers.mean(), regions=2
        ... )
        >>> second = found.region.mask[:, 1]  # "n h w", NaN where there is no second region
    """
    check_hold(hold, objective)
    check_count(regions=regions)
    images, infill = as_images(images), by_name(infill, "regions")
    targets = np.asarray(targets)
    ids = list(range(len(images)) if ids is None else ids)
    asked = {"infill": infill, "hold": hold, "objective": objective}
    known = options_of(method_by_name(method))
    given = dict(options or {})
    if "hold" in known:
        given = asked | given
    elif known.get("infill") is inspect.Parameter.empty:
        given = {"infill": as_fills(infill)[0]} | given
    available = np.ones(images.shape[:3], np.float32)
    found: list[tuple[Region, np.ndarray]] = []
    left, maps = np.arange(len(images)), np.full(images.shape[:3], np.nan, np.float32)
    while len(left) and len(found) < regions:
        own = [ids[at] for at in left]
        part = classifier, images[left], targets[left]
        shared = {"seed": seed, "ids": own}
        each = {"available": available[left]}
        read = None
        if not found or "available" in known:
            with warnings.catch_warnings():
                if found:  # no further region is the usual end
                    warnings.simplefilter("ignore", NoRegionWarning)
                explanation = first if first is not None and not found else explain_batch(
                    method, *part, options=given, each=each if "available" in known else None,
                    batch_size=batch_size, **shared, **run,
                )  # fmt: skip
            maps[left] = explanation.saliency
            read = getattr(explanation.info, "region", None)
        if read is None:
            read = measure_batch("region", *part, maps[left], options=asked, each=each, **shared)
            if not found:
                shape = images.shape[1:]
                classes = check_classifier(as_classifier(classifier, shape), shape)
                warn_of_no_region(read, classes, own)
        found.append((_among(read, left, len(images), not found), maps.copy()))
        available[left] *= 1 - np.nan_to_num(read.mask)
        left = left[np.isfinite(read.area)]
    return _stacked(found, regions)


def _among(read: Region, rows: np.ndarray, count: int, first: bool) -> Region:
    """The regions of some of `count` pictures, NaN for the others.

    Args:
        first: also what is known where there is no region.
    """
    chosen = np.isfinite(read.area) | first

    def placed(leaf: Any) -> np.ndarray:
        leaf = np.asarray(leaf)
        full = np.full((count, *leaf.shape[1:]), np.nan, leaf.dtype)
        full[rows[chosen]] = leaf[chosen]
        return full

    return jax.tree.map(placed, read)


def _stacked(found: Sequence[tuple[Region, np.ndarray]], most: int) -> Regions:
    """The rounds as one array each, filled up with NaN."""
    read = jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *[region for region, _ in found])
    maps = np.stack([maps for _, maps in found], axis=1)
    maps = np.where(np.isfinite(read.area)[..., None, None], maps, np.nan)

    def filled(leaf: np.ndarray) -> np.ndarray:
        missing = np.full((len(leaf), most - len(found), *leaf.shape[2:]), np.nan, leaf.dtype)
        return np.concatenate([leaf, missing], axis=1)

    read = jax.tree.map(filled, read)
    return Regions(np.isfinite(read.area).sum(axis=1), read, filled(maps))
