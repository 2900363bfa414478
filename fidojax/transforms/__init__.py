"""Transformations of a classifier's traced program: precision, ReLU rules, fast CPU operations."""

from fidojax.transforms.precision import PRECISIONS, lowered

__all__ = [
    "PRECISIONS",
    "lowered",
]
