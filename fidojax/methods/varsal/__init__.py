"""VarSal: a trained encoder of a distribution over maps and the objective of its training."""

from fidojax.methods.varsal.objective import BASELINES, KEPT, varsal_objective
from fidojax.methods.varsal.varsal import varsal

__all__ = [
    "BASELINES",
    "KEPT",
    "varsal",
    "varsal_objective",
]
