"""The metrics by name. One file holds one metric and its kin.

`METRICS[name](key, classifier, image, target, saliency, *, options) -> NamedTuple`, for one image;
pure, so they jit, and batches are `jax.vmap`.
"""

from collections.abc import Callable
from typing import Any

from fidojax.metrics.infill_quality import (
    InfillQuality,
    Reconstruction,
    copied,
    infill_quality,
    reconstruction,
)
from fidojax.metrics.mixture import Mixture, mixture
from fidojax.metrics.objective import ExpectedObjective, expected_objective
from fidojax.metrics.removal import Removal, preservation, removal
from fidojax.metrics.sufficiency import Sufficiency, sufficiency

METRICS: dict[str, Callable[..., Any]] = {
    "removal": removal,
    "preservation": preservation,
    "expected_objective": expected_objective,
    "mixture": mixture,
    "sufficiency": sufficiency,
}

__all__ = [
    "METRICS",
    "ExpectedObjective",
    "InfillQuality",
    "Mixture",
    "Reconstruction",
    "Removal",
    "Sufficiency",
    "copied",
    "expected_objective",
    "infill_quality",
    "mixture",
    "preservation",
    "reconstruction",
    "removal",
    "sufficiency",
]
