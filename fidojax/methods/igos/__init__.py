"""I-GOS and iGOS++: masks that descend along integrated gradients."""

from fidojax.methods.igos.descend import passes
from fidojax.methods.igos.igos import igos, igos_loop
from fidojax.methods.igos.igos_pp import igos_pp, igos_pp_loop

__all__ = ["igos", "igos_loop", "igos_pp", "igos_pp_loop", "passes"]
