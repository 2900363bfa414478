"""What is said of the region of a map: in the record, on the terminal, in the figure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fidojax.cli.numbers import as_number, percent
from fidojax.cli.region import RegionPlan
from fidojax.core import EDGES, Region, why_none
from fidojax.data import Picture
from fidojax.viz import View


def regions_of(plan: RegionPlan | None, found: Region | None) -> tuple[Region, ...]:
    """The regions of one picture that hold; none without regions."""
    if plan is None or found is None:
        return ()
    return tuple(one for one in plan.each(found) if np.isfinite(one.area))


def region_record(
    plan: RegionPlan | None, found: Region | None, classes: int, price: Any
) -> dict[str, Any]:
    """Return the region of a picture as JSON, and all of them where several were looked for.

    Args:
        plan: what they have to hold; None without regions.
        found: the regions.
        classes: the number of the classifier's classes.
        price: what the area of the first cost in the end, for methods that search for it; else
            None.
    """
    if plan is None or found is None:
        return {"region": None}
    numbers = [
        {
            **plan.settings,
            "edges": list(EDGES),
            "area": as_number(one.area),
            "level": as_number(one.level),
            "probability": _numbers(one.probability),
            "without": _numbers(one.without),
            "price": None if price is None or at else as_number(price),
            "why_none": why_none(one, classes),
        }
        for at, one in enumerate(plan.each(found))
    ]
    return {"region": numbers[0]} | ({"regions": numbers} if plan.count > 1 else {})


def region_lines(plan: RegionPlan, found: Sequence[Region], name: str) -> list[str]:
    """Return each region in half a sentence: its area, and the least convincing of its numbers.

    Args:
        plan: what they have to hold.
        found: the regions that hold.
        name: of the class.
    """
    lines = []
    for number, one in enumerate(found, 1):
        count = one.probability.size
        alone, without = percent(one.probability.min()), percent(one.without.max())
        which = f"region {number}: " if len(found) > 1 else "region "
        area = f"{which}{percent(one.area)} of the picture"
        if plan.objective == "sdr":
            said = f"without it {name} {without} (most of {count}), on it alone {alone}"
        else:
            most = f" (most of {count})" if plan.objective == "dual" else ""
            said = f"{name} {alone} (least of {count}), without it {without}{most}"
        lines.append(f"{area}: {said}")
    return lines


def region_views(
    plan: RegionPlan, found: Sequence[Region], name: str, picture: Picture, seed: int
) -> tuple[View, ...]:
    """Return the panels of regions.

    One region is shown on its infill, and taken away; of several, each is shown in the way that it
    has to hold. The pictures are those whose probabilities stand first in the record: hard edges,
    on the first infiller.

    Args:
        plan: what they have to hold.
        found: the regions that hold.
        name: of the class.
        picture: the picture.
        seed: the seed of the run.
    """
    pairs = [_views(plan, one, name, picture, seed) for one in found]
    if len(pairs) == 1:
        return pairs[0]
    return tuple(
        replace(first, title=first.title.replace("the region", f"region {number}"))
        for number, (first, _) in enumerate(pairs, 1)
    )


def _views(
    plan: RegionPlan, found: Region, name: str, picture: Picture, seed: int
) -> tuple[View, View]:
    """The panels of one region: first the one that shows how it holds."""
    mask = np.asarray(found.mask, np.float32)
    on_infill, emptied = plan.pictures(picture, seed, mask)
    count, area = found.probability.size, f": {percent(found.area)}"
    least = f"least of {count} fillings: {percent(found.probability.min())}"
    most = f"most of {count} fillings: {percent(found.without.max())}"
    alone = f"{name} {percent(found.probability[0, 0])}"
    without = f"{name} {percent(found.without[0, 0])}"
    if plan.objective == "sdr":
        return (
            View(emptied, f"without the region{area}", f"{without}\n{most}", mask),
            View(on_infill, "the region alone", alone),
        )
    more = f"\n{most}" if plan.objective == "dual" else ""
    return (
        View(on_infill, f"the region alone{area}", f"{alone}\n{least}", mask),
        View(emptied, "the picture without it", without + more),
    )


def _numbers(values: Any) -> list[list[float | None]]:
    return [[as_number(value) for value in row] for row in values]
