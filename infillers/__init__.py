"""Infillers: what stands where pixels were dropped.

A factory returns a callable pytree `infill(key, image, mask) -> reference image`; its constants
default to the paper's. `INFILLERS` lists them by name; `vae` and `ca` are learned, with weights of
their own. `resized` runs an infiller at another size than the picture's.
"""

from infillers.blur import blur
from infillers.ca import ca
from infillers.local import local
from infillers.mean import mean
from infillers.named import make_infill, parse_infill
from infillers.random import random
from infillers.resized import resized
from infillers.road import road
from infillers.table import INFILLER_ROWS, INFILLERS, InfillerRow, register_infiller
from infillers.vae import vae

__all__ = [
    "INFILLERS",
    "INFILLER_ROWS",
    "InfillerRow",
    "blur",
    "ca",
    "local",
    "make_infill",
    "mean",
    "parse_infill",
    "random",
    "register_infiller",
    "resized",
    "road",
    "vae",
]
