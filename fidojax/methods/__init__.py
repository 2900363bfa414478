"""The methods by name. One file holds one method; all have the one signature.

`METHODS[name](key, classifier, image, target, **options) -> Explanation`, for one image.
`LOOPS[name](**options)` is the same method as a `fidojax.loop.Loop`, for those that iterate.
"""

from collections.abc import Callable

from fidojax.loop import Loop
from fidojax.methods.baselines import box, center, max
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
    "max": max,
    "center": center,
    "box": box,
}

LOOPS: dict[str, Callable[..., Loop]] = {
    "fido": fido_loop,
    "bbmp": bbmp_loop,
    "meaningful_perturbation": meaningful_perturbation_loop,
}

__all__ = ["LOOPS", "METHODS", *METHODS, "bbmp_loop", "fido_loop", "meaningful_perturbation_loop"]
