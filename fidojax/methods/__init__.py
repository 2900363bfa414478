"""The methods by name. One file holds one method; all have the one signature.

`METHODS[name](key, classifier, image, target, **options) -> Explanation`, for one image.
`LOOPS[name](**options)` is the same method as a `fidojax.loop.Loop`, for those that iterate.
"""

from collections.abc import Callable

from fidojax.loop import Loop
from fidojax.methods.baselines import center_box, max_box, object_box
from fidojax.methods.bbmp import bbmp, bbmp_loop
from fidojax.methods.fido import fido, fido_loop
from fidojax.methods.meaningful_perturbation import (
    meaningful_perturbation,
    meaningful_perturbation_loop,
)
from fidojax.types import Method

METHODS: dict[str, Method] = {
    "fido": fido,
    "bbmp": bbmp,
    "meaningful_perturbation": meaningful_perturbation,
    "max": max_box,
    "center": center_box,
    "box": object_box,
}

LOOPS: dict[str, Callable[..., Loop]] = {
    "fido": fido_loop,
    "bbmp": bbmp_loop,
    "meaningful_perturbation": meaningful_perturbation_loop,
}

__all__ = [
    "LOOPS",
    "METHODS",
    "bbmp",
    "bbmp_loop",
    "center_box",
    "fido",
    "fido_loop",
    "max_box",
    "meaningful_perturbation",
    "meaningful_perturbation_loop",
    "object_box",
]
