"""What is said of the region of a map: in the record, on the terminal, in the figure."""

from typing import Any

import numpy as np

from fidojax.cli.numbers import as_number, percent
from fidojax.cli.region import RegionPlan
from fidojax.core import EDGES, Region, why_none
from fidojax.data import Picture
from fidojax.viz import View


def has_region(found: Region | None) -> bool:
    """Whether there is a region that holds."""
    return found is not None and bool(np.isfinite(found.area))


def region_record(plan: RegionPlan, found: Region, classes: int, price: Any) -> dict[str, Any]:
    """Return the region of a picture as JSON.

    Args:
        plan: what it has to hold.
        found: the region.
        classes: the number of the classifier's classes.
        price: what its area cost in the end, for methods that search for it; else None.
    """
    return {
        **plan.settings,
        "edges": list(EDGES),
        "area": as_number(found.area),
        "level": as_number(found.level),
        "probability": _numbers(found.probability),
        "without": _numbers(found.without),
        "price": None if price is None else as_number(price),
        "why_none": why_none(found, classes),
    }


def region_line(plan: RegionPlan, found: Region, name: str) -> str:
    """Return the region in half a sentence: its area, and the least convincing of its numbers.

    Args:
        plan: what it has to hold.
        found: the region.
        name: of the class.
    """
    count = found.probability.size
    alone, without = percent(found.probability.min()), percent(found.without.max())
    area = f"region {percent(found.area)} of the picture"
    if plan.objective == "sdr":
        return f"{area}: without it {name} {without} (most of {count}), on it alone {alone}"
    most = f" (most of {count})" if plan.objective == "dual" else ""
    return f"{area}: {name} {alone} (least of {count}), without it {without}{most}"


def region_views(
    plan: RegionPlan, found: Region, name: str, picture: Picture, seed: int
) -> tuple[View, ...]:
    """Return the panels of a region: on its infill, and the picture without it.

    The pictures are those whose probabilities stand first: hard edges, on the first infiller.

    Args:
        plan: what it has to hold.
        found: the region.
        name: of the class.
        picture: the picture.
        seed: the seed of the run.
    """
    mask = np.asarray(found.mask, np.float32)
    on_infill, emptied = plan.pictures(picture, seed, mask)
    count, area = found.probability.size, f": {percent(found.area)}"
    deletes = plan.objective == "sdr"
    least = f"least of {count} fillings: {percent(found.probability.min())}"
    most = f"most of {count} fillings: {percent(found.without.max())}"
    alone = View(
        on_infill, f"the region alone{'' if deletes else area}",
        f"{name} {percent(found.probability[0, 0])}" + ("" if deletes else f"\n{least}"), mask,
    )  # fmt: skip
    without = View(
        emptied, f"the picture without{area if deletes else ' it'}",
        f"{name} {percent(found.without[0, 0])}" + ("" if plan.objective == "ssr" else f"\n{most}"),
    )  # fmt: skip
    return (without, alone) if deletes else (alone, without)


def _numbers(values: Any) -> list[list[float | None]]:
    return [[as_number(value) for value in row] for row in values]
