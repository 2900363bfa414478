"""What a map's values are, for captions and colour bars."""

from collections.abc import Mapping
from typing import Any

import numpy as np

_UNITS: dict[str, str] = {
    "fido": "probability",
    "bbmp": "mask",
    "meaningful_perturbation": "mask",
    "extremal_perturbation": "mask, mean over areas",
    "max": "1 inside, 0 outside",
    "center": "1 inside, 0 outside",
    "box": "1 inside, 0 outside",
    "nonlinear": "share of steps that left it sharp",
    "linear": "share of steps that left it sharp",
    "occlusion": "fall of the score when covered",
    "pda": "fall of the log-odds when imputed",
    "prediction_difference": "evidence in bits",
    "rise": "mean score where it is seen",
    "deeplift": "contribution to the score",
    "integrated_gradients": "contribution to the score",
    "expected_gradients": "contribution to the score",
    "input_x_gradient": "gradient times value",
    "grad_cam": "weighted features",
    "guided_grad_cam": "guided gradient x Grad-CAM",
    "guided_backprop": "guided gradient",
    "deconvnet": "rectified gradient",
    "gradient": "gradient of the score",
    "smoothgrad": "mean gradient under noise",
    "smoothgrad_squared": "mean squared gradient under noise",
    "vargrad": "variance of the gradient under noise",
    "varsal": "mean of the posterior",
    "realtime": "mask",
}
_BOUNDED = {
    "fido", "bbmp", "meaningful_perturbation", "extremal_perturbation", "max", "center", "box",
    "nonlinear", "linear", "realtime",
}  # fmt: skip
"""Methods whose maps lie in [0, 1]."""
_ORDERED = {"varsal"}
"""Methods whose maps have any sign, and whose zero means nothing: only the order does."""
_DELETING = {"meaningful_perturbation"}
"""Methods without the option `objective` whose maps show what is to be dropped."""


def deletes(method: str, options: Mapping[str, Any]) -> bool:
    """Whether the map shows what is to be dropped, not what is to be kept."""
    if "objective" in options:
        return options["objective"] == "sdr"
    return method in _DELETING or options.get("variant") == "delete"


def meaning(method: str, options: Mapping[str, Any]) -> str:
    """What the map's values are, in a few words."""
    unit = _UNITS[method]
    if method in ("fido", "bbmp", "meaningful_perturbation"):
        return f"{'drop' if deletes(method, options) else 'keep'} {unit}"
    return unit


def limits(method: str) -> tuple[float, float] | None:
    """The known range of the map's values, or None."""
    return (0.0, 1.0) if method in _BOUNDED else None


def signed(method: str, saliency: np.ndarray) -> bool:
    """Whether the map speaks for and against the class."""
    return method not in _BOUNDED | _ORDERED and bool(saliency.min() < 0)


def explains_all_classes(method: str) -> bool:
    """Whether the map is for all classes at once, whatever the target."""
    return method == "varsal"
