"""Transformations of a classifier's traced program: precision, ReLU rules, fast CPU operations."""

from fidojax.transforms.precision import PRECISIONS, in_precision

__all__ = [
    "PRECISIONS",
    "in_precision",
]
