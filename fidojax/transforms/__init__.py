"""Transforms of a classifier's traced program: precision, ReLU rules, fast CPU operations.

`cpu`, `interpreter`, `relu` and `feature_pyramid` are taken as modules.
"""

from fidojax.transforms.precision import PRECISIONS, in_precision

__all__ = [
    "PRECISIONS",
    "in_precision",
]
