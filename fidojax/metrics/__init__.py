"""The metrics by name. One file holds one metric and its kin.

`METRICS[name](key, classifier, image, target, saliency, *, options) -> NamedTuple`, for one image;
pure, so they jit, and batches are `jax.vmap`.
"""

from collections.abc import Callable
from typing import Any

from fidojax.metrics.agreement import Agreement, Stability, agreement, stability
from fidojax.metrics.alpha_search import AlphaSearch, alpha_search
from fidojax.metrics.complexity import Complexity, MaskSize, complexity, mask_size
from fidojax.metrics.deletion import Deletion, deletion, insertion
from fidojax.metrics.erasing import Erasing, erasing
from fidojax.metrics.faithfulness import Faithfulness, faithfulness
from fidojax.metrics.infidelity import Infidelity, infidelity
from fidojax.metrics.infill_quality import (
    InfillQuality,
    Reconstruction,
    copied,
    infill_quality,
    reconstruction,
)
from fidojax.metrics.localisation import (
    Localisation,
    localisation,
    out_of_box,
    pointing_game,
    relevance_mass,
    relevance_rank,
    roc_auc,
)
from fidojax.metrics.mixture import Mixture, mixture
from fidojax.metrics.objective import ExpectedObjective, expected_objective
from fidojax.metrics.removal import Removal, preservation, removal
from fidojax.metrics.saliency_metric import SaliencyMetric, box_metric, saliency_metric
from fidojax.metrics.sensitivity import Sensitivity, sensitivity
from fidojax.metrics.sufficiency import Sufficiency, sufficiency

METRICS: dict[str, Callable[..., Any]] = {
    "removal": removal,
    "preservation": preservation,
    "expected_objective": expected_objective,
    "mixture": mixture,
    "sufficiency": sufficiency,
    "deletion": deletion,
    "insertion": insertion,
    "faithfulness": faithfulness,
    "infidelity": infidelity,
}
"""Those that ask the classifier and fill in."""
MEASURES: dict[str, Callable[..., Any]] = METRICS | {
    "erasing": erasing,
    "saliency_metric": saliency_metric,
    "localisation": localisation,
    "pointing_game": pointing_game,
    "relevance_mass": relevance_mass,
    "relevance_rank": relevance_rank,
    "roc_auc": roc_auc,
    "complexity": complexity,
    "mask_size": mask_size,
}
"""All that judge one map of one image; they take fewer things where they need fewer."""

from fidojax.metrics.deletion import LEVELS
from fidojax.metrics.erasing import ERASED, SHARES
from fidojax.metrics.mixture import controls
from fidojax.metrics.saliency_metric import KERNELS

__all__ = [
    "ERASED",
    "KERNELS",
    "LEVELS",
    "MEASURES",
    "METRICS",
    "SHARES",
    "Agreement",
    "AlphaSearch",
    "Complexity",
    "Deletion",
    "Erasing",
    "ExpectedObjective",
    "Faithfulness",
    "Infidelity",
    "InfillQuality",
    "Localisation",
    "MaskSize",
    "Mixture",
    "Reconstruction",
    "Removal",
    "SaliencyMetric",
    "Sensitivity",
    "Stability",
    "Sufficiency",
    "agreement",
    "alpha_search",
    "box_metric",
    "complexity",
    "controls",
    "copied",
    "deletion",
    "erasing",
    "expected_objective",
    "faithfulness",
    "infidelity",
    "infill_quality",
    "insertion",
    "localisation",
    "mask_size",
    "mixture",
    "out_of_box",
    "pointing_game",
    "preservation",
    "reconstruction",
    "relevance_mass",
    "relevance_rank",
    "removal",
    "roc_auc",
    "saliency_metric",
    "sensitivity",
    "stability",
    "sufficiency",
]
