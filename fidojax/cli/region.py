"""The region of each map: whether a command reads it out, on what it has to hold, and how."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fidojax.cli.options import Explain
from fidojax.core import (
    FIRST,
    HELD,
    NoRegionWarning,
    Region,
    check_hold,
    check_name,
    mix,
    readout_key,
    region,
)
from fidojax.data import Picture
from fidojax.engine import ExplainRequest, image_keys, measure_batch, regions
from fidojax.methods import MethodRow
from fidojax.runs import Explained
from fidojax.types import Image, Infiller, Mask, PRNGKey

HOLD = 0.9
"""The share of the class's probability that a region has to hold, unless told otherwise."""
FILLS = ("mean", "blur")
"""The infillers under each of which a region has to hold, unless told otherwise."""
MOST = 4
"""The largest number of regions of a picture."""


@dataclass(frozen=True)
class RegionPlan:
    """What a region has to hold.

    Attributes:
        hold: the share of the class's probability, or "first".
        objective: "ssr", "sdr" or "dual", see `fidojax.region`.
        names: the infillers with their options.
        fills: the infillers.
        by_method: the method itself searches for the region under this constraint; else it is read
            out of the finished map.
        count: the largest number of regions of a picture.
    """

    hold: float | str
    objective: str
    names: tuple[str, ...]
    fills: tuple[Infiller, ...]
    by_method: bool
    count: int = 1

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the region besides the map, as JSON."""
        return {"hold": self.hold, "objective": self.objective, "infill": list(self.names)}

    @property
    def reads(self) -> bool:
        """Whether regions are read out of finished maps, or further ones are looked for."""
        return self.count > 1 or not self.by_method

    def each(self, found: Region) -> list[Region]:
        """The regions of one picture that hold; the first one in any case."""
        if self.count == 1:
            return [found]
        several = [Region(*leaves) for leaves in zip(*found, strict=True)]
        return [several[0], *(one for one in several[1:] if np.isfinite(one.area))]

    def read(self, request: ExplainRequest, batch: Explained) -> Region:
        """Read the regions out of finished maps, leaves "n ...", or "n regions ..." of several.

        Args:
            request: as the maps were made, with its batch size.
            batch: the explained pictures.
        """
        shown: list[Any] = [item.picture for item in batch.items]
        pictures = np.stack([picture.image for picture in shown])
        asked = {"infill": self.fills, "hold": self.hold, "objective": self.objective}
        shared: dict[str, Any] = {
            "seed": request.seed,
            "ids": [picture.id for picture in shown],
            "rewrite": request.rewrite,
        }
        if self.count > 1:
            with warnings.catch_warnings():  # the record of each picture says so
                warnings.simplefilter("ignore", NoRegionWarning)
                return regions(
                    request.method, request.classifier, pictures, batch.targets, **asked,
                    regions=self.count, options=request.options, first=batch.explanation,
                    batch_size=request.batch_size, devices=request.devices,
                    precision=request.precision, **shared,
                ).region  # fmt: skip
        on_cpu = request.chosen_devices[0].platform == "cpu"
        return measure_batch(
            region, request.classifier, pictures, batch.targets, batch.explanation.saliency,
            options=asked, batch_size=None if on_cpu else request.batch_size, **shared,
        )  # fmt: skip

    def key(self, picture: Picture, seed: int) -> PRNGKey:
        """The key that the regions of a picture were filled with."""
        key = image_keys(seed, [picture.id])[0]
        if self.by_method:  # as methods with a loop read out
            key = readout_key(key)
        return key

    def pictures(self, picture: Picture, seed: int, mask: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the region on its infill, and the picture without it: those that were evaluated.

        Args:
            picture: the picture.
            seed: the seed of the run.
            mask: "h w", 1 in the region.
        """
        key = self.key(picture, seed)
        shown, kept = jnp.asarray(picture.image), jnp.asarray(mask, jnp.float32)
        alone, without = _pictures(key, shown, kept, self.fills[0])
        return np.asarray(alone), np.asarray(without)


@jax.jit
def _pictures(key: PRNGKey, image: Image, mask: Mask, fill: Infiller) -> tuple[Image, Image]:
    """The masked pictures with hard edges on the first infill, as `fidojax.region` sees them."""
    key = jax.random.fold_in(key, 0)
    alone, without = (mix(image, kept, fill(key, image, kept)) for kept in (mask, 1 - mask))
    return alone, without


def hold_of(text: str | None) -> float | str | None:
    """Return what `--hold` says: a share or "first"; None for "none" and where it is not given.

    Raises:
        ValueError: it is neither of these.
    """
    if text in (None, "none", FIRST):
        return None if text == "none" else text
    try:
        share = float(text)
        check_hold(share, "ssr")
    except ValueError:
        raise ValueError(
            f'--hold is {text!r}, expected a share between 0 and 1, "{FIRST}" or "none"'
        ) from None
    return share


def wants_region(asked: Explain, row: MethodRow) -> bool:
    """Whether the command finds regions: all do, but for controls and with `--hold none`."""
    return asked.hold != "none" and (asked.hold is not None or not row.control)


def region_plan(
    asked: Explain,
    row: MethodRow,
    options: Mapping[str, Any],
    names: Sequence[str],
    make: Callable[[str], Infiller],
) -> RegionPlan | None:
    """Return what the regions of a command have to hold; None without regions.

    Args:
        asked: the command line.
        row: the method's row.
        options: the method's options.
        names: the infillers under which the region has to hold.
        make: makes an infiller of a name.

    Raises:
        ValueError: the objective is unknown, an infiller is given twice, or there are too many
            regions.
    """
    if not 1 <= asked.regions <= MOST:
        raise ValueError(f"--regions is {asked.regions}, expected 1 to {MOST}")
    if not wants_region(asked, row):
        if asked.regions > 1:
            raise ValueError("--regions: without --hold there is no region")
        return None
    inner = options.get("hold")
    hold = inner or hold_of(asked.hold) or HOLD
    objective = options.get("objective", asked.objective)
    objective = objective or ("sdr" if row.drops(options) else "ssr")
    check_name("--objective", objective, HELD)
    for name in names:
        if list(names).count(name) > 1:
            raise ValueError(f"--infill: {name} is given more than once")
    fills = tuple(map(make, names))
    return RegionPlan(hold, objective, tuple(names), fills, inner is not None, asked.regions)
