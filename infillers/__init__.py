"""Infillers: what stands where pixels were dropped.

A factory returns a callable pytree `infill(key, image, mask) -> reference image`; its constants
default to the paper's. `INFILLERS` lists them by name; `vae`, `ca` and `unet`, for photos, are
learned, with weights of their own, `mae` takes public ones. `from_function` and `from_torch` make
an infiller of any inpainter; `resized` runs an infiller at another size than the picture's.
"""

from infillers.blur import blur
from infillers.ca import ca
from infillers.local import local
from infillers.mae import mae
from infillers.mean import mean
from infillers.named import make_infill, parse_infill
from infillers.random import random
from infillers.resized import resized
from infillers.road import road
from infillers.table import (
    INFILLER_ROWS,
    INFILLERS,
    InfillerRow,
    default_infillers,
    register_infiller,
)
from infillers.unet import unet
from infillers.vae import vae
from infillers.wrapped import from_function, from_torch

__all__ = [
    "INFILLERS",
    "INFILLER_ROWS",
    "InfillerRow",
    "blur",
    "ca",
    "default_infillers",
    "from_function",
    "from_torch",
    "local",
    "mae",
    "make_infill",
    "mean",
    "parse_infill",
    "random",
    "register_infiller",
    "resized",
    "road",
    "unet",
    "vae",
]
