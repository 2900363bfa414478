"""fidojax: explain image classifiers by counterfactual generation, in JAX.

Pure functions for one image, `method(key, classifier, image, target, *, options) -> Explanation`, that
jit and vmap, and `explain_batch` for many images at once. Infillers are in the package `infillers`.
"""

from fidojax import presets
from fidojax.loop import Loop
from fidojax.methods import (
    LOOPS,
    METHODS,
    bbmp,
    box,
    center,
    fido,
    max,
    meaningful_perturbation,
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
    "box",
    "center",
    "explain_batch",
    "explain_groups",
    "fido",
    "image_keys",
    "max",
    "meaningful_perturbation",
    "presets",
]
