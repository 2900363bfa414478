"""Infillers: what stands where pixels were dropped.

A factory returns a callable pytree `infill(key, image, mask) -> reference image`; its constants
default to the paper's. `INFILLERS` lists them by name.
"""

from collections.abc import Callable

from fidojax.types import Infiller
from infillers.blur import blur
from infillers.local import local
from infillers.mean import mean
from infillers.random import random

INFILLERS: dict[str, Callable[..., Infiller]] = {
    "mean": mean,
    "blur": blur,
    "random": random,
    "local": local,
}

__all__ = ["INFILLERS", "blur", "local", "mean", "random"]
