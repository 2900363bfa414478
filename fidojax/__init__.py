"""fidojax: explain image classifiers by counterfactual generation, in JAX.

Pure functions for one image, `method(key, classifier, image, target, *, options) -> Explanation`,
that jit and vmap, and `explain_batch` for many images at once. Infillers are in the package
`infillers`, networks in `fidojax.networks`, pictures in `fidojax.data`, figures in `fidojax.viz`.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fidojax import presets
from fidojax.core import (
    HasFeatures,
    Loop,
    Region,
    Split,
    Transformed,
    make_named_infillers,
    region,
    similar,
    suggest,
    warn_renamed,
)
from fidojax.engine import (
    Regions,
    Sample,
    Spread,
    Stop,
    explain_batch,
    explain_stream,
    image_keys,
    lambda_path,
    measure_batch,
    regions,
)
from fidojax.methods import (
    LOOPS,
    METHOD_ROWS,
    METHODS,
    MethodRow,
    attention_relevance,
    attention_rollout,
    bbmp,
    center_box,
    deconvnet,
    deeplift,
    expected_gradients,
    extremal_perturbation,
    fido,
    grad_cam,
    grad_cam_pp,
    gradient,
    guided_backprop,
    guided_grad_cam,
    hires_cam,
    igos,
    igos_pp,
    input_x_gradient,
    integrated_gradients,
    layer_cam,
    linear_saliency,
    max_box,
    meaningful_perturbation,
    nonlinear_saliency,
    object_box,
    occlusion,
    over_keys,
    pda,
    pda_one_draw,
    realtime,
    register_method,
    rise,
    smoothgrad,
    smoothgrad_squared,
    start_from,
    vargrad,
    varsal,
)
from fidojax.transforms import in_precision
from fidojax.types import Classifier, Explanation, Infiller

__version__ = "0.1.0"

if TYPE_CHECKING:
    import infillers as infillers
    from fidojax import data as data
    from fidojax import metrics as metrics
    from fidojax import networks as networks
    from fidojax import runs as runs
    from fidojax import viz as viz
    from fidojax.runs import load_maps, load_run

__all__ = [
    "LOOPS",
    "METHODS",
    "Classifier",
    "Explanation",
    "HasFeatures",
    "Infiller",
    "Loop",
    "MethodRow",
    "Region",
    "Regions",
    "Sample",
    "Split",
    "Spread",
    "Stop",
    "Transformed",
    "attention_relevance",
    "attention_rollout",
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
    "grad_cam_pp",
    "gradient",
    "guided_backprop",
    "guided_grad_cam",
    "hires_cam",
    "igos",
    "igos_pp",
    "image_keys",
    "in_precision",
    "input_x_gradient",
    "integrated_gradients",
    "lambda_path",
    "layer_cam",
    "linear_saliency",
    "load_maps",
    "load_run",
    "max_box",
    "meaningful_perturbation",
    "measure_batch",
    "nonlinear_saliency",
    "object_box",
    "occlusion",
    "over_keys",
    "pda",
    "pda_one_draw",
    "presets",
    "realtime",
    "region",
    "regions",
    "register_method",
    "rise",
    "smoothgrad",
    "smoothgrad_squared",
    "start_from",
    "vargrad",
    "varsal",
]


_LATER = ("data", "infillers", "networks", "runs", "viz")
"""Packages that are imported when they are first asked for, since they need further libraries."""
_RENAMED = {
    "prediction_difference": "fidojax.methods.pda",
    "lowered": "fidojax.transforms.in_precision",
    "pretrained": "fidojax.networks",
    "adapters": "fidojax.networks",
    "encoders": "fidojax.networks",
}
"""Old names, which work for one release, and where the things are now."""
_ELSEWHERE = {
    "fidojax.networks": (
        "from_equinox", "from_keras", "from_linen", "from_nnx", "from_onnx", "from_torch", "load",
    ),
    "fidojax.viz": ("figure", "gallery", "overlay", "show"),
    "fidojax.data": ("pictures",),
    "infillers": ("blur", "ca", "local", "mae", "mean", "random", "road", "unet", "vae"),
}  # fmt: skip
"""Names that are looked for here, by the packages that have them."""


def _infiller(name: str) -> Infiller:
    """Make the infiller of a name; the package above this one is imported at the first name."""
    from infillers import INFILLERS, make_infill

    if name in INFILLERS:  # with its own constants, whose weights are read once
        return _default_infiller(name, INFILLERS[name])
    return make_infill(name, "infill")


@cache
def _default_infiller(name: str, factory: Callable[..., Infiller]) -> Infiller:
    from infillers import make_infill

    del factory  # two that are registered under one name in turn are not taken for one another
    return make_infill(name, "infill")


make_named_infillers(_infiller)


def __dir__() -> list[str]:
    """The public names, and the packages."""
    always = ("core", "engine", "methods", "metrics", "transforms", "types", "__version__")
    return sorted({*__all__, *_LATER, *always})


def _found(name: str) -> Any:
    """Import a package, or `load_maps` and `load_run`, which need zarr, when it is first asked for;
    find old names and the methods of the table that are not imported above.
    """
    if name in _LATER:
        return import_module(name if name == "infillers" else f"fidojax.{name}")
    if name in _RENAMED:
        warn_renamed("name in fidojax", name, _RENAMED[name])
        package, _, last = _RENAMED[name].rpartition(".")
        found = import_module(_RENAMED[name] if package == "fidojax" else package)
        return found if package == "fidojax" else getattr(found, last)
    if name in ("load_maps", "load_run"):
        return getattr(import_module("fidojax.runs"), name)
    if name in METHOD_ROWS:
        return METHOD_ROWS[name].function
    said = f"module 'fidojax' has no attribute {name!r}"
    for package, names in _ELSEWHERE.items():
        if name in names:
            raise AttributeError(f"{said}; it is {package}.{name}")
    if not name.startswith("_"):
        names = __dir__()
        said += f"; {suggest(name, names)}" if similar(name, names) else ""
    raise AttributeError(said)


if not TYPE_CHECKING:  # a type checker knows the names that are imported, and no others
    __getattr__ = _found
