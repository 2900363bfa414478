"""What is wrong with an explanation, in words: an empty map, a class that does not hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from fidojax.cli.numbers import percent
from fidojax.methods import MethodRow

SURVIVES = 0.5
"""Below this share of its probability on the picture, a class counts as lost on the mixture."""


def warnings_of(
    row: MethodRow,
    options: Mapping[str, Any],
    record: Mapping[str, Any],
    saliency: Float[np.ndarray, "h w"],
) -> tuple[str, ...]:
    """Return what is wrong with an explanation, as parts of a sentence; none if all is well.

    Args:
        row: the method's row.
        options: its options.
        record: the record of the picture.
        saliency: its map.
    """
    found = []
    region, kept = record["region"], record["kept_area"]
    if saliency.min() == saliency.max() and not row.control:
        found.append("the map is empty: it has the same value everywhere")
    if region is not None:
        if region["why_none"]:
            found.append(f"no region holds: {region['why_none']}")
        return tuple(found)
    shown, original = record["probability"]["mixture"], record["probability"]["image"]
    if kept is None or shown is None or original is None:
        return tuple(found)
    name, drops = record["target"]["name"], row.drops(options)
    if not found and kept == (1 if drops else 0):
        found.append(f"the map is empty: it {'drops' if drops else 'keeps'} no pixel")
    if (shown > SURVIVES * original) == drops:
        on = "the picture without the dropped pixels" if drops else "the kept pixels alone"
        what = "stays" if drops else "is lost"
        found.append(f"{name} {what} on {on}: {percent(shown)} of {percent(original)}")
    return tuple(found)
