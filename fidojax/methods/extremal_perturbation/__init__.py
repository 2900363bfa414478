"""Extremal perturbation: the mask of a given area that keeps the class best."""

from fidojax.methods.extremal_perturbation.extremal_perturbation import (
    extremal_perturbation,
    extremal_perturbation_loop,
)

__all__ = [
    "extremal_perturbation",
    "extremal_perturbation_loop",
]
