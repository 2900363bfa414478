"""Explained pictures on their way into a ledger."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from fidojax.core import Region
from fidojax.data import BadPicture, Picture
from fidojax.runs.maps import pack
from fidojax.types import Explanation

NOT_FINITE = "the explanation is not finite, so there is no map"
"""The problem of a picture whose map has values that are not finite."""


class Item(NamedTuple):
    """A picture to be explained, with its place in the ledger.

    Attributes:
        row: its row.
        name: its id in the ledger.
        picture: the picture, or why it cannot be read.
    """

    row: int
    name: str
    picture: Picture | BadPicture


class Explained(NamedTuple):
    """Explained pictures before they are stored.

    Attributes:
        items: the pictures with their rows.
        targets: the explained class of each picture.
        explanation: NumPy leaves with a leading axis of pictures.
        seconds: "n", each picture's share of the wall time, compilation apart.
        region: the regions of the maps, leaves with a leading axis of pictures; None without any.
    """

    items: list[Item]
    targets: list[int]
    explanation: Explanation
    seconds: Float[np.ndarray, " n"]
    region: Region | None = None

    def problems(self) -> list[str | None]:
        """For each picture the reason why it has no map, or None."""
        return [
            None if np.isfinite(map_).all() else NOT_FINITE for map_ in self.explanation.saliency
        ]

    def one(self, at: int) -> "Explained":
        """One of the pictures, its leaves without an axis of pictures."""
        explanation, seconds, region = jax.tree.map(
            lambda leaf: leaf[at], (self.explanation, self.seconds, self.region)
        )
        return Explained([self.items[at]], [self.targets[at]], explanation, seconds, region)

    def columns(self) -> dict[str, np.ndarray]:
        """The columns of the ledger for these pictures."""
        columns = pack(np.asarray(self.explanation.saliency))
        deviation = getattr(self.explanation.info, "standard_deviation", None)
        if deviation is not None:
            packed = pack(deviation)
            columns |= {"deviation": packed["maps"], "deviation_scale": packed["scale"]}
        columns |= {} if self.region is None else _columns_of(self.region)
        columns["targets"] = np.array(self.targets, np.int32)
        columns["seconds"] = np.asarray(self.seconds, np.float32)
        return columns


def joined(groups: Sequence[Explained]) -> Explained:
    """Return several groups of explained pictures as one."""
    return Explained(
        [item for group in groups for item in group.items],
        [target for group in groups for target in group.targets],
        _joined(*[group.explanation for group in groups]),
        np.concatenate([group.seconds for group in groups]),
    )


def _joined(*trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)


def _columns_of(region: Region) -> dict[str, np.ndarray]:
    """The columns of regions: masks of bits, which are empty where there is none, and numbers."""
    numbers = {
        "region_area": region.area,
        "region_level": region.level,
        "region_probability": region.probability,
        "region_without": region.without,
    }
    return {
        "region": np.nan_to_num(region.mask) > 0.5,
        **{name: np.asarray(values, np.float32) for name, values in numbers.items()},
    }
