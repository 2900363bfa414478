"""The pure functions that methods and metrics share: scores, masks, objectives, loops, checks."""

from fidojax.core.arguments import check_picture, of_one_image, with_advice
from fidojax.core.bound import Bound, shown
from fidojax.core.boxes import (
    COMPONENTS,
    EMPTY,
    Box,
    Boxes,
    area,
    bounding_box,
    check_boxes,
    inside,
    pixel_boxes,
)
from fidojax.core.checks import check_count, check_name, similar, suggest
from fidojax.core.completeness import CompletenessWarning, shortfalls, warn_of_shortfalls
from fidojax.core.contract import (
    check_classifier,
    check_index,
    check_target,
    check_target_of,
    checked_explanation,
    checked_output,
    classes_of,
    logits_of,
    real_target,
)
from fidojax.core.deprecation import current_name, renamed_arguments, warn_renamed
from fidojax.core.extras import install_extra
from fidojax.core.features import (
    HasFeatures,
    Split,
    Transform,
    Transformed,
    require_features,
    untransformed,
)
from fidojax.core.fills import as_fills, by_name, make_named_infillers, references
from fidojax.core.functions import as_classifier
from fidojax.core.holding import (
    EDGES,
    FIRST,
    HELD,
    check_hold,
    filled_logits,
    margin,
    senses_of,
    soft_edge,
)
from fidojax.core.loop import Loop, Record, State, readout_key
from fidojax.core.masked_scores import in_chunks, masked_scores, masked_values, rank
from fidojax.core.masks import bernoulli, concrete, total_variation, upsample
from fidojax.core.mix import black, mix
from fidojax.core.moments import Moments, add, none_of, standard_error
from fidojax.core.no_region import NoRegionWarning, warn_of_no_region, why_none
from fidojax.core.objectives import OBJECTIVES, saliency_of
from fidojax.core.optimisers import sgd
from fidojax.core.options import checked_options, known_options
from fidojax.core.printable import printable
from fidojax.core.probabilities import ProbabilityWarning, check_outputs
from fidojax.core.region import LEAST, Region, region
from fidojax.core.scores import (
    SCORES,
    class_divergence,
    log_odds,
    log_probability,
    logit,
    others,
    probability,
    widened,
)
from fidojax.core.separable import interpolation, separable
from fidojax.core.signatures import options_of, with_options_of
from fidojax.core.smoothing import gaussian_blur, smoothed
from fidojax.core.table import Column, add_row, row_of
from fidojax.core.windows import lay_windows, sum_over_windows

__all__ = [
    "COMPONENTS",
    "EDGES",
    "EMPTY",
    "FIRST",
    "HELD",
    "LEAST",
    "OBJECTIVES",
    "SCORES",
    "Bound",
    "Box",
    "Boxes",
    "Column",
    "CompletenessWarning",
    "HasFeatures",
    "Loop",
    "Moments",
    "NoRegionWarning",
    "ProbabilityWarning",
    "Record",
    "Region",
    "Split",
    "State",
    "Transform",
    "Transformed",
    "add",
    "add_row",
    "area",
    "as_classifier",
    "as_fills",
    "bernoulli",
    "black",
    "bounding_box",
    "by_name",
    "check_boxes",
    "check_classifier",
    "check_count",
    "check_hold",
    "check_index",
    "check_name",
    "check_outputs",
    "check_picture",
    "check_target",
    "check_target_of",
    "checked_explanation",
    "checked_options",
    "checked_output",
    "class_divergence",
    "classes_of",
    "concrete",
    "current_name",
    "filled_logits",
    "gaussian_blur",
    "in_chunks",
    "inside",
    "install_extra",
    "interpolation",
    "known_options",
    "lay_windows",
    "log_odds",
    "log_probability",
    "logit",
    "logits_of",
    "make_named_infillers",
    "margin",
    "masked_scores",
    "masked_values",
    "mix",
    "none_of",
    "of_one_image",
    "options_of",
    "others",
    "pixel_boxes",
    "printable",
    "probability",
    "rank",
    "readout_key",
    "real_target",
    "references",
    "region",
    "renamed_arguments",
    "require_features",
    "row_of",
    "saliency_of",
    "senses_of",
    "separable",
    "sgd",
    "shortfalls",
    "shown",
    "similar",
    "smoothed",
    "soft_edge",
    "standard_error",
    "suggest",
    "sum_over_windows",
    "total_variation",
    "untransformed",
    "upsample",
    "warn_of_no_region",
    "warn_of_shortfalls",
    "warn_renamed",
    "why_none",
    "widened",
    "with_advice",
    "with_options_of",
]
