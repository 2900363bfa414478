"""fidojax: explain image classifiers by counterfactual generation, in JAX.

Pure functions for one image, `method(key, classifier, image, target, *, options) -> Explanation`,
that jit and vmap, and `explain_batch` for many images at once. Infillers are in the package
`infillers`.
"""

from fidojax import presets
from fidojax.loop import Loop
from fidojax.methods import (
    LOOPS,
    METHODS,
    bbmp,
    center_box,
    fido,
    max_box,
    meaningful_perturbation,
    object_box,
)
from fidojax.run import explain_batch, explain_groups, image_keys
from fidojax.types import Classifier, Explanation, Infiller

__version__ = "0.1.0"

__all__ = [
    "LOOPS",
    "METHODS",
    "Classifier",
    "Explanation",
    "Infiller",
    "Loop",
    "bbmp",
    "center_box",
    "explain_batch",
    "explain_groups",
    "fido",
    "image_keys",
    "max_box",
    "meaningful_perturbation",
    "object_box",
    "presets",
]
