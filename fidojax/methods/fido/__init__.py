"""FIDO: a learned distribution over masks, at a price for every pixel or under a constraint."""

from fidojax.methods.fido.fido import fido, fido_loop
from fidojax.methods.fido.held_readout import HeldInfo, HeldRecord
from fidojax.methods.fido.path import PATH_LIMIT, fido_path
from fidojax.methods.fido.priced import sampled_objective

__all__ = [
    "PATH_LIMIT",
    "HeldInfo",
    "HeldRecord",
    "fido",
    "fido_loop",
    "fido_path",
    "sampled_objective",
]
