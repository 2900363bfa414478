"""Realtime: a trained masker and the objective of its training."""

from fidojax.methods.realtime.objective import (
    existence_loss,
    exists,
    perturbed,
    realtime_objective,
    realtime_paper_objective,
)
from fidojax.methods.realtime.realtime import realtime

__all__ = [
    "existence_loss",
    "exists",
    "perturbed",
    "realtime",
    "realtime_objective",
    "realtime_paper_objective",
]
