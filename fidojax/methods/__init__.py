"""Explanation methods. One file holds one method; `table` has a row for each.

`METHODS[name](key, classifier, image, target, **options) -> Explanation`, for one image.
`LOOPS[name](**options)` is the same method as a `fidojax.core.Loop`, for those that optimise.
"""

from fidojax.methods.attention_relevance import attention_relevance
from fidojax.methods.attention_rollout import attention_rollout
from fidojax.methods.baselines import center_box, max_box, object_box
from fidojax.methods.bbmp import bbmp, bbmp_loop
from fidojax.methods.deconvnet import deconvnet
from fidojax.methods.deeplift import deeplift
from fidojax.methods.expected_gradients import expected_gradients
from fidojax.methods.extremal_perturbation import extremal_perturbation, extremal_perturbation_loop
from fidojax.methods.fido import fido, fido_loop
from fidojax.methods.fido.path import PATH_LIMIT, fido_path
from fidojax.methods.grad_cam import grad_cam
from fidojax.methods.grad_cam_pp import grad_cam_pp
from fidojax.methods.gradient import gradient
from fidojax.methods.guided_backprop import guided_backprop
from fidojax.methods.guided_grad_cam import guided_grad_cam
from fidojax.methods.hires_cam import hires_cam
from fidojax.methods.igos import igos, igos_loop, igos_pp, igos_pp_loop
from fidojax.methods.input_x_gradient import input_x_gradient
from fidojax.methods.integrated_gradients import integrated_gradients
from fidojax.methods.kinds import KINDS, kind_of, needs_of
from fidojax.methods.layer_cam import layer_cam
from fidojax.methods.meaningful_perturbation import (
    meaningful_perturbation,
    meaningful_perturbation_loop,
)
from fidojax.methods.nonlinear import (
    Comparison,
    compare_classes,
    linear_saliency,
    linear_saliency_loop,
    nonlinear_saliency,
    nonlinear_saliency_loop,
)
from fidojax.methods.occlusion import occlusion
from fidojax.methods.over_keys import over_keys
from fidojax.methods.pda import pda
from fidojax.methods.pda_one_draw import pda_one_draw
from fidojax.methods.realtime import (
    existence_loss,
    exists,
    perturbed,
    realtime,
    realtime_objective,
    realtime_paper_objective,
)
from fidojax.methods.rise import rise
from fidojax.methods.row import MethodRow
from fidojax.methods.smoothgrad import smoothgrad, smoothgrad_squared, vargrad
from fidojax.methods.table import (
    LOOPS,
    METHOD_ROWS,
    METHODS,
    RENAMED_METHODS,
    loop_maker,
    method_row,
    register_method,
)
from fidojax.methods.varsal import BASELINES, KEPT, varsal, varsal_objective
from fidojax.methods.warm_start import start_from

__all__ = [
    "BASELINES",
    "KEPT",
    "KINDS",
    "LOOPS",
    "METHODS",
    "METHOD_ROWS",
    "PATH_LIMIT",
    "RENAMED_METHODS",
    "Comparison",
    "MethodRow",
    "attention_relevance",
    "attention_rollout",
    "bbmp",
    "bbmp_loop",
    "center_box",
    "compare_classes",
    "deconvnet",
    "deeplift",
    "existence_loss",
    "exists",
    "expected_gradients",
    "extremal_perturbation",
    "extremal_perturbation_loop",
    "fido",
    "fido_loop",
    "fido_path",
    "grad_cam",
    "grad_cam_pp",
    "gradient",
    "guided_backprop",
    "guided_grad_cam",
    "hires_cam",
    "igos",
    "igos_loop",
    "igos_pp",
    "igos_pp_loop",
    "input_x_gradient",
    "integrated_gradients",
    "kind_of",
    "layer_cam",
    "linear_saliency",
    "linear_saliency_loop",
    "loop_maker",
    "max_box",
    "meaningful_perturbation",
    "meaningful_perturbation_loop",
    "method_row",
    "needs_of",
    "nonlinear_saliency",
    "nonlinear_saliency_loop",
    "object_box",
    "occlusion",
    "over_keys",
    "pda",
    "pda_one_draw",
    "perturbed",
    "realtime",
    "realtime_objective",
    "realtime_paper_objective",
    "register_method",
    "rise",
    "smoothgrad",
    "smoothgrad_squared",
    "start_from",
    "vargrad",
    "varsal",
    "varsal_objective",
]
