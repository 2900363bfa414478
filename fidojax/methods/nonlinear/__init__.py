"""Nonlinear and linear saliency maps: the order in which a blur may take pixels."""

from fidojax.methods.nonlinear.nonlinear import (
    Comparison,
    compare_classes,
    linear_saliency,
    linear_saliency_loop,
    nonlinear_saliency,
    nonlinear_saliency_loop,
)

__all__ = [
    "Comparison",
    "compare_classes",
    "linear_saliency",
    "linear_saliency_loop",
    "nonlinear_saliency",
    "nonlinear_saliency_loop",
]
