"""The metrics: pure functions that judge maps, methods and infills.

`METRICS[name](key, classifier, image, target, saliency, *, options) -> NamedTuple` judges one map
of one image; pure, so it jits, and batches are `jax.vmap` or `fidojax.measure_batch`. A metric that
compares the map with the object takes its true boxes as the option `boxes`; a metric of masks takes
the mask as the map. `METRIC_ROWS` says of each metric what it needs and which direction is better.

Functions that judge something else have signatures of their own: `agreement`, `stability`,
`sensitivity`, `alpha_search`, `infill_quality`, `reconstruction`, `feature_distance`.
"""

from typing import Any

from fidojax.core import Region, region, warn_renamed
from fidojax.metrics.agreement import Agreement, Stability, agreement, stability
from fidojax.metrics.alpha_search import AlphaSearch, alpha_search
from fidojax.metrics.complexity import Complexity, MaskSize, complexity, mask_size
from fidojax.metrics.conciseness import (
    INFORMATION,
    ConcisenessPreciseness,
    conciseness_preciseness,
)
from fidojax.metrics.deletion import LEVELS, Deletion, deletion, insertion
from fidojax.metrics.erasing import ERASED, SHARES, Erasing, erasing
from fidojax.metrics.faithfulness import Faithfulness, faithfulness
from fidojax.metrics.feature_distance import feature_distance
from fidojax.metrics.hallucination import Hallucination, hallucination
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
    PointingGame,
    RelevanceMass,
    RelevanceRank,
    RocAuc,
    localisation,
    out_of_box,
    pointing_game,
    relevance_mass,
    relevance_rank,
    roc_auc,
)
from fidojax.metrics.mixture import Mixture, controls, mixture
from fidojax.metrics.objective import ExpectedObjective, expected_objective
from fidojax.metrics.removal import Removal, preservation, removal
from fidojax.metrics.saliency_metric import (
    KERNELS,
    SaliencyMetric,
    box_metric,
    saliency_metric,
)
from fidojax.metrics.sensitivity import Sensitivity, sensitivity
from fidojax.metrics.sufficiency import Sufficiency, sufficiency
from fidojax.metrics.table import METRIC_ROWS, METRICS, MetricRow, register_metric

__all__ = [
    "ERASED",
    "INFORMATION",
    "KERNELS",
    "LEVELS",
    "METRICS",
    "METRIC_ROWS",
    "SHARES",
    "Agreement",
    "AlphaSearch",
    "Complexity",
    "ConcisenessPreciseness",
    "Deletion",
    "Erasing",
    "ExpectedObjective",
    "Faithfulness",
    "Hallucination",
    "Infidelity",
    "InfillQuality",
    "Localisation",
    "MaskSize",
    "MetricRow",
    "Mixture",
    "PointingGame",
    "Reconstruction",
    "Region",
    "RelevanceMass",
    "RelevanceRank",
    "Removal",
    "RocAuc",
    "SaliencyMetric",
    "Sensitivity",
    "Stability",
    "Sufficiency",
    "agreement",
    "alpha_search",
    "box_metric",
    "complexity",
    "conciseness_preciseness",
    "controls",
    "copied",
    "deletion",
    "erasing",
    "expected_objective",
    "faithfulness",
    "feature_distance",
    "hallucination",
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
    "region",
    "register_metric",
    "relevance_mass",
    "relevance_rank",
    "removal",
    "roc_auc",
    "saliency_metric",
    "sensitivity",
    "stability",
    "sufficiency",
]


def __getattr__(name: str) -> Any:
    """Return `METRICS` under its old name, with a warning."""
    if name == "MEASURES":
        warn_renamed("dictionary of fidojax.metrics", "MEASURES", "METRICS")
        return METRICS
    raise AttributeError(f"module 'fidojax.metrics' has no attribute {name!r}")
