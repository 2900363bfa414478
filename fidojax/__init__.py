"""fidojax: explain image classifiers by counterfactual generation, in JAX.

Pure functions for one image, `method(key, classifier, image, target, *, options) -> Explanation`,
that jit and vmap, and `explain_batch` for many images at once. Infillers are in the package
`infillers`.
"""

from fidojax import presets
from fidojax.loop import Loop
from fidojax.measure import load_maps, measure_batch
from fidojax.methods import (
    LOOPS,
    METHODS,
    bbmp,
    center_box,
    deconvnet,
    deeplift,
    expected_gradients,
    extremal_perturbation,
    fido,
    grad_cam,
    gradient,
    guided_backprop,
    guided_grad_cam,
    input_x_gradient,
    integrated_gradients,
    linear_saliency,
    max_box,
    meaningful_perturbation,
    nonlinear_saliency,
    object_box,
    occlusion,
    pda,
    prediction_difference,
    realtime,
    rise,
    smoothgrad,
    smoothgrad_squared,
    vargrad,
    varsal,
)
from fidojax.path import lambda_path
from fidojax.precision import lowered
from fidojax.repeat import over_keys
from fidojax.run import explain_batch, explain_stream, image_keys
from fidojax.split import Split
from fidojax.spread import Spread
from fidojax.stop import Stop
from fidojax.stream import Sample
from fidojax.types import Classifier, Explanation, Infiller
from fidojax.warm_start import start_from

__version__ = "0.1.0"

__all__ = [
    "LOOPS",
    "METHODS",
    "Classifier",
    "Explanation",
    "Infiller",
    "Loop",
    "Sample",
    "Split",
    "Spread",
    "Stop",
    "bbmp",
    "center_box",
    "deconvnet",
    "deeplift",
    "expected_gradients",
    "explain_batch",
    "explain_stream",
    "extremal_perturbation",
    "fido",
    "grad_cam",
    "gradient",
    "guided_backprop",
    "guided_grad_cam",
    "image_keys",
    "input_x_gradient",
    "integrated_gradients",
    "lambda_path",
    "linear_saliency",
    "load_maps",
    "lowered",
    "max_box",
    "meaningful_perturbation",
    "measure_batch",
    "nonlinear_saliency",
    "object_box",
    "occlusion",
    "over_keys",
    "pda",
    "prediction_difference",
    "presets",
    "realtime",
    "rise",
    "smoothgrad",
    "smoothgrad_squared",
    "start_from",
    "vargrad",
    "varsal",
]
