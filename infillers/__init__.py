"""Infillers: what stands where pixels were dropped.

A factory returns a callable pytree `infill(key, image, mask) -> reference image`; its constants
default to the paper's. `INFILLERS` lists them by name; `vae` and `ca` are learned, with weights of
their own. `resized` runs an infiller at another size than the picture's.
"""

from collections.abc import Callable

from fidojax.types import Infiller
from infillers.blur import blur
from infillers.ca import ca
from infillers.local import local
from infillers.mean import mean
from infillers.random import random
from infillers.resized import resized
from infillers.road import road
from infillers.vae import vae

INFILLERS: dict[str, Callable[..., Infiller]] = {
    "mean": mean,
    "blur": blur,
    "random": random,
    "local": local,
    "road": road,
    "vae": vae,
    "ca": ca,
}

__all__ = ["INFILLERS", "blur", "ca", "local", "mean", "random", "resized", "road", "vae"]
