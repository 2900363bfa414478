"""Every explainer once, with the settings under which tables and figures compare them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fidojax import presets
from fidojax.bench.settings import SHORTER
from infillers import blur, mean, random


class Setting(NamedTuple):
    """A row of the comparison.

    Attributes:
        method: name in `fidojax.methods.METHODS`.
        options: for the method; a function of nothing, since infillers hold arrays.
        why: what differs from the method's own defaults, if anything does.
    """

    method: str
    options: Mapping[str, Any]
    why: str = ""


def settings() -> dict[str, Setting]:
    """The rows by name: the methods' own defaults but where `why` says otherwise."""
    colour, blurred = {"infill": mean()}, {"infill": blur()}
    return {
        "fido": Setting("fido", presets.fast | colour, "preset fast"),
        "bbmp": Setting("bbmp", blurred),
        "meaningful_perturbation": Setting("meaningful_perturbation", blurred),
        "extremal_perturbation": Setting(
            "extremal_perturbation", {"steps": 300}, "300 steps, not 800"
        ),
        "nonlinear": Setting("nonlinear", {}),
        "linear": Setting("linear", {}),
        "occlusion": Setting("occlusion", colour | {"chunk": 16}),
        "pda": Setting(
            "pda",
            colour | SHORTER["pda"] | {"chunk": 16},
            "every 8th window of 16, not 1",
        ),
        "prediction_difference": Setting(
            "prediction_difference",
            {"infill": random()} | SHORTER["prediction_difference"] | {"chunk": 16},
            "random colours, every 16th window, 2 samples, not 10",
        ),
        "rise": Setting("rise", SHORTER["rise"] | {"chunk": 16}, "1000 masks, not 4000"),
        "deeplift": Setting("deeplift", {}),
        "deeplift-rescale": Setting("deeplift", {"rule": "rescale"}),
        "integrated_gradients": Setting("integrated_gradients", {}),
        "expected_gradients": Setting(
            "expected_gradients",
            {"infill": random()} | SHORTER["expected_gradients"],
            "50 samples, not 200",
        ),
        "gradient": Setting("gradient", {}),
        "input_x_gradient": Setting("input_x_gradient", {}),
        "smoothgrad": Setting("smoothgrad", {}),
        "smoothgrad_squared": Setting("smoothgrad_squared", {}),
        "vargrad": Setting("vargrad", {}),
        "deconvnet": Setting("deconvnet", {}),
        "guided_backprop": Setting("guided_backprop", {}),
        "grad_cam": Setting("grad_cam", {}),
        "guided_grad_cam": Setting("guided_grad_cam", {}),
        "center": Setting("center", {}),
    }
