"""METHODS: one row says all about a method."""

from collections.abc import Callable

from fidojax.core import Loop
from fidojax.methods.baselines import center_box, max_box, object_box
from fidojax.methods.bbmp import bbmp, bbmp_loop
from fidojax.methods.deconvnet import deconvnet
from fidojax.methods.deeplift import deeplift
from fidojax.methods.expected_gradients import expected_gradients
from fidojax.methods.extremal_perturbation import (
    extremal_perturbation,
    extremal_perturbation_loop,
)
from fidojax.methods.fido import fido, fido_loop
from fidojax.methods.grad_cam import grad_cam
from fidojax.methods.gradient import gradient
from fidojax.methods.guided_backprop import guided_backprop
from fidojax.methods.guided_grad_cam import guided_grad_cam
from fidojax.methods.input_x_gradient import input_x_gradient
from fidojax.methods.integrated_gradients import integrated_gradients
from fidojax.methods.meaningful_perturbation import (
    meaningful_perturbation,
    meaningful_perturbation_loop,
)
from fidojax.methods.nonlinear import (
    linear_saliency,
    linear_saliency_loop,
    nonlinear_saliency,
    nonlinear_saliency_loop,
)
from fidojax.methods.occlusion import occlusion
from fidojax.methods.pda import pda
from fidojax.methods.prediction_difference import prediction_difference
from fidojax.methods.realtime import realtime
from fidojax.methods.rise import rise
from fidojax.methods.smoothgrad import smoothgrad, smoothgrad_squared, vargrad
from fidojax.methods.varsal import varsal
from fidojax.types import Method

METHODS: dict[str, Method] = {
    "fido": fido,
    "bbmp": bbmp,
    "meaningful_perturbation": meaningful_perturbation,
    "extremal_perturbation": extremal_perturbation,
    "nonlinear": nonlinear_saliency,
    "linear": linear_saliency,
    "occlusion": occlusion,
    "pda": pda,
    "prediction_difference": prediction_difference,
    "rise": rise,
    "deeplift": deeplift,
    "integrated_gradients": integrated_gradients,
    "expected_gradients": expected_gradients,
    "gradient": gradient,
    "input_x_gradient": input_x_gradient,
    "smoothgrad": smoothgrad,
    "smoothgrad_squared": smoothgrad_squared,
    "vargrad": vargrad,
    "deconvnet": deconvnet,
    "guided_backprop": guided_backprop,
    "grad_cam": grad_cam,
    "guided_grad_cam": guided_grad_cam,
    "varsal": varsal,
    "realtime": realtime,
    "max": max_box,
    "center": center_box,
    "box": object_box,
}

LOOPS: dict[str, Callable[..., Loop]] = {
    "fido": fido_loop,
    "bbmp": bbmp_loop,
    "meaningful_perturbation": meaningful_perturbation_loop,
    "extremal_perturbation": extremal_perturbation_loop,
    "nonlinear": nonlinear_saliency_loop,
    "linear": linear_saliency_loop,
}
