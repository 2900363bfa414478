"""The table of methods. Everything that the library knows of one method stands in its row.

`METHODS[name](key, classifier, image, target, **options) -> Explanation`, for one image.
`LOOPS[name](**options)` is the same method as a `fidojax.core.Loop`, for those that optimise.
"""

from collections.abc import Callable, Mapping

from fidojax.core import Column, Loop, add_row, check_name, current_name, row_of
from fidojax.methods.attention_relevance import attention_relevance
from fidojax.methods.attention_rollout import attention_rollout
from fidojax.methods.baselines import center_box, max_box, object_box
from fidojax.methods.bbmp import bbmp, bbmp_loop
from fidojax.methods.deconvnet import deconvnet
from fidojax.methods.deeplift import MORE_PRECISION, deeplift
from fidojax.methods.expected_gradients import expected_gradients
from fidojax.methods.extremal_perturbation import (
    extremal_perturbation,
    extremal_perturbation_loop,
)
from fidojax.methods.fido import fido, fido_loop
from fidojax.methods.grad_cam import grad_cam
from fidojax.methods.grad_cam_pp import grad_cam_pp
from fidojax.methods.gradient import gradient
from fidojax.methods.guided_backprop import guided_backprop
from fidojax.methods.guided_grad_cam import guided_grad_cam
from fidojax.methods.hires_cam import hires_cam
from fidojax.methods.igos import igos, igos_loop, igos_pp, igos_pp_loop, passes
from fidojax.methods.input_x_gradient import input_x_gradient
from fidojax.methods.integrated_gradients import MORE_STEPS, integrated_gradients
from fidojax.methods.layer_cam import layer_cam
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
from fidojax.methods.pda_one_draw import pda_one_draw
from fidojax.methods.realtime import realtime
from fidojax.methods.rise import rise
from fidojax.methods.row import MethodRow
from fidojax.methods.smoothgrad import smoothgrad, smoothgrad_squared, vargrad
from fidojax.methods.varsal import varsal
from fidojax.types import Method

METHOD_ROWS: dict[str, MethodRow] = {}
"""The rows by name."""

RENAMED_METHODS = {
    "nonlinear": "nonlinear_saliency",
    "linear": "linear_saliency",
    "max": "max_box",
    "center": "center_box",
    "box": "object_box",
    "prediction_difference": "pda",
}
"""Old names, which work for one release, and what the methods are called now."""

METHODS: Mapping[str, Method] = Column(METHOD_ROWS, "function", "method", RENAMED_METHODS)
"""The methods by name."""
LOOPS: Mapping[str, Callable[..., Loop]] = Column(METHOD_ROWS, "loop", "method", RENAMED_METHODS)
"""What makes the loops of those methods that optimise, by name."""


def register_method(row: MethodRow) -> None:
    """Add a method to the table, and so to everything that takes methods by name.

    Raises:
        ValueError: there is a method of that name.
    """
    add_row(METHOD_ROWS, row, "method")


def method_row(name: str, what: str = "method") -> MethodRow:
    """Return the row of a method.

    Args:
        name: of the method; an old one works with a DeprecationWarning.
        what: the option that the name was given for, for the message.

    Raises:
        ValueError: there is no such method; the message names similar ones.
    """
    if name not in METHOD_ROWS:
        name = current_name(what, name, RENAMED_METHODS)
    check_name(what, name, METHOD_ROWS)
    return METHOD_ROWS[name]


def loop_maker(method: Method) -> Callable[..., Loop] | None:
    """Return what makes the loop of a method of the table; None for any other function."""
    row = row_of(METHOD_ROWS, method)
    return None if row is None else row.loop


_ROWS = (
    MethodRow(
        function=fido,
        loop=fido_loop,
        says="the probability that a pixel is in the smallest region that supports (`ssr`) or "
        "whose deletion destroys (`sdr`) the decision",
        unit="{keep} probability",
        papers=("fido", "concrete", "geco"),
        limits=(0.0, 1.0),
        mask=True,
        preset="hold",
        evaluation={"infill": ("mean", "blur")},
        family="FIDO",
    ),
    MethodRow(
        function=bbmp,
        loop=bbmp_loop,
        says="a soft mask, as FIDO's authors ran BBMP; with the infiller `ca` and `threshold` "
        "it is their BBMP-CA, whose infiller sees the pixels with a mask of at least τ",
        unit="{keep} mask",
        papers=("bbmp", "fido"),
        limits=(0.0, 1.0),
        mask=True,
        evaluation={"infill": "blur"},
        family="BBMP",
    ),
    MethodRow(
        function=meaningful_perturbation,
        loop=meaningful_perturbation_loop,
        says="the smallest smooth region whose deletion destroys the class",
        unit="{keep} mask",
        papers=("bbmp",),
        limits=(0.0, 1.0),
        mask=True,
        deletes=True,
        evaluation={"infill": "blur"},
    ),
    MethodRow(
        function=extremal_perturbation,
        loop=extremal_perturbation_loop,
        says="the smooth mask of a given area that raises the class's score most (preserve, "
        "delete, dual; contrastive; several areas)",
        unit="mask, mean over areas",
        papers=("extremal_perturbation",),
        limits=(0.0, 1.0),
        mask=True,
        evaluation={"steps": 300},
        differs="300 steps, not 800",
    ),
    MethodRow(
        function=igos,
        loop=igos_loop,
        says="the smallest smooth region whose deletion destroys the class, found along integrated "
        "gradients",
        unit="{keep} mask",
        papers=("igos",),
        limits=(0.0, 1.0),
        mask=True,
        deletes=True,
        passes=passes(1),
        evaluation={"infill": "blur"},
    ),
    MethodRow(
        function=igos_pp,
        loop=igos_pp_loop,
        says="the smallest smooth region whose deletion destroys the class and which alone "
        "supports it, found along integrated gradients",
        unit="{keep} mask",
        papers=("igos_pp", "igos"),
        limits=(0.0, 1.0),
        mask=True,
        deletes=True,
        passes=passes(4),
        evaluation={"infill": "blur"},
    ),
    MethodRow(
        function=nonlinear_saliency,
        loop=nonlinear_saliency_loop,
        says="how long a pixel stays sharp while the least sensitive pixels are blurred and the "
        "others are enhanced",
        unit="share of steps that left it sharp",
        papers=("nonlinear",),
        limits=(0.0, 1.0),
        figures="trajectory",
    ),
    MethodRow(
        function=linear_saliency,
        loop=linear_saliency_loop,
        says="the same as `nonlinear_saliency`, with the gradient frozen at the image",
        unit="share of steps that left it sharp",
        papers=("nonlinear",),
        limits=(0.0, 1.0),
        figures="trajectory",
    ),
    MethodRow(
        function=occlusion,
        says="the fall of the score when a window is covered, averaged or summed over windows",
        unit="fall of the score when covered",
        papers=("occlusion",),
        black_box=True,
        evaluation={"infill": "mean", "chunk": 16},
    ),
    MethodRow(
        function=pda_one_draw,
        says="the fall of the log-odds when the pixel is imputed once, as VDSM's authors ran PDA",
        unit="fall of the log-odds when imputed",
        papers=("pda", "vdsm"),
        black_box=True,
        quick={"window": 16, "stride": 8},
        evaluation={"infill": "mean", "chunk": 16},
        differs="every 8th window of 16, not 1",
    ),
    MethodRow(
        function=pda,
        says="the weight of evidence (bits) of a patch, marginalised over what it might have been; "
        "the published infiller is the conditional Gaussian of `infillers/patch_gaussian.py`",
        unit="evidence in bits",
        papers=("pda",),
        black_box=True,
        quick={"stride": 16, "samples": 2},
        evaluation={"infill": "random", "chunk": 16},
        differs="random colours, every 16th window, 2 samples, not 10",
    ),
    # Without `rise_loop`: the engine would drive it chunk by chunk and take each of its
    # evaluations for a forward and a backward pass, but RISE has no gradient and no mask that
    # converges. A map is one call.
    MethodRow(
        function=rise,
        says="the mean score of the randomly masked pictures in which the pixel is seen, with its "
        "standard error",
        unit="mean score where it is seen",
        papers=("rise",),
        black_box=True,
        quick={"samples": 1000},
        evaluation={"chunk": 16},
        differs="1000 masks, not 4000",
    ),
    MethodRow(
        function=deeplift,
        remedy=MORE_PRECISION,
        says="contributions to the logit's difference from that of a reference picture, signed "
        "(RevealCancel or Rescale)",
        unit="contribution to the score",
        papers=("deeplift",),
        # The image and the reference; RevealCancel runs both parts of every kernel, too.
        passes=lambda options: (2, 1) if options.get("rule") == "rescale" else (6, 4),
    ),
    MethodRow(
        function=integrated_gradients,
        remedy=MORE_STEPS,
        says="slopes on the way from a baseline or an infill, signed; they add up to the change of "
        "the logit",
        unit="contribution to the score",
        papers=("integrated_gradients",),
    ),
    MethodRow(
        function=expected_gradients,
        says="integrated gradients averaged over infills that are drawn, signed, with its standard "
        "error",
        unit="contribution to the score",
        papers=("expected_gradients",),
        quick={"samples": 50},
        evaluation={"infill": "random"},
        differs="50 samples, not 200",
    ),
    MethodRow(
        function=gradient,
        says="the largest slope of the logit over the channels of the pixel",
        unit="gradient of the score",
        papers=("gradient",),
        passes=(1, 1),
    ),
    MethodRow(
        function=input_x_gradient,
        says="pixel times slope, signed",
        unit="gradient times value",
        papers=("input_x_gradient",),
        passes=(1, 1),
    ),
    MethodRow(
        function=smoothgrad,
        says="the mean of a gradient method over noisy copies of the picture",
        unit="mean gradient under noise",
        papers=("smoothgrad",),
    ),
    MethodRow(
        function=smoothgrad_squared,
        says="the mean square of a gradient method over noisy copies of the picture",
        unit="mean squared gradient under noise",
        papers=("smoothgrad_squared", "smoothgrad"),
    ),
    MethodRow(
        function=vargrad,
        says="the variance of a gradient method over noisy copies of the picture",
        unit="variance of the gradient under noise",
        papers=("vargrad", "smoothgrad"),
    ),
    MethodRow(
        function=deconvnet,
        says="the gradient whose ReLUs rectify what comes back",
        unit="rectified gradient",
        papers=("occlusion",),
        passes=(1, 1),
    ),
    MethodRow(
        function=guided_backprop,
        says="the gradient along paths that excite the class at every ReLU",
        unit="guided gradient",
        papers=("guided_backprop",),
        passes=(1, 1),
    ),
    MethodRow(
        function=grad_cam,
        says="where the features are that raise the logit",
        unit="weighted features",
        papers=("grad_cam",),
        features=True,
        passes=(1, 0),
    ),
    MethodRow(
        function=grad_cam_pp,
        says="where the features are that raise the logit, however often",
        unit="weighted features",
        papers=("grad_cam_pp", "grad_cam"),
        features=True,
        passes=(1, 0),
    ),
    MethodRow(
        function=layer_cam,
        says="the features, each place weighted with its own positive gradient",
        unit="weighted features",
        papers=("layer_cam", "grad_cam"),
        features=True,
        passes=(1, 0),
    ),
    MethodRow(
        function=hires_cam,
        says="the features times their own gradient",
        unit="features times gradient",
        papers=("hires_cam", "grad_cam"),
        features=True,
        passes=(1, 0),
    ),
    MethodRow(
        function=guided_grad_cam,
        says="guided backprop times Grad-CAM",
        unit="guided gradient x Grad-CAM",
        papers=("grad_cam", "guided_backprop"),
        features=True,
        passes=(2, 1),
    ),
    MethodRow(
        function=attention_rollout,
        says="the share of a transformer's last state that stems from each patch, by its "
        "attention alone; for all classes at once",
        unit="share of attention",
        papers=("attention_rollout",),
        limits=(0.0, 1.0),
        all_classes=True,
        attention=True,
        passes=(1, 0),
    ),
    MethodRow(
        function=attention_relevance,
        says="a transformer's attention, weighted with the gradient of the logit by it",
        unit="relevance",
        papers=("attention_relevance",),
        attention=True,
        passes=(1, 1),
    ),
    MethodRow(
        function=varsal,
        says="the mean of a learned posterior over maps, for all classes at once, with its "
        "standard deviation; one pass of an encoder that was trained for the classifier",
        unit="mean of the posterior",
        papers=("varsal", "soft_topk"),
        order_only=True,
        all_classes=True,
        figures="samples",
    ),
    MethodRow(
        function=realtime,
        says="a mask of the evidence for any class, in one pass of a masker that was trained for "
        "the classifier",
        unit="mask",
        papers=("realtime",),
        limits=(0.0, 1.0),
        mask=True,
        passes=(1, 0),
    ),
    MethodRow(
        function=max_box,
        says="a control: everything",
        unit="1 inside, 0 outside",
        papers=("fido",),
        limits=(0.0, 1.0),
        mask=True,
        control=True,
        passes=(0, 0),
    ),
    MethodRow(
        function=center_box,
        says="a control: a centred box",
        unit="1 inside, 0 outside",
        papers=("fido",),
        limits=(0.0, 1.0),
        mask=True,
        control=True,
        passes=(0, 0),
    ),
    MethodRow(
        function=object_box,
        says="a control: the object's own box",
        unit="1 inside, 0 outside",
        papers=("fido",),
        limits=(0.0, 1.0),
        mask=True,
        control=True,
        passes=(0, 0),
    ),
)

for _row in _ROWS:
    register_method(_row)
