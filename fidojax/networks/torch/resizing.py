"""ATen's interpolations of pictures."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fidojax.networks.graph import resizing


def _resize(matrix: Callable[[int, int, float | None], np.ndarray]) -> Callable:
    """Return the operation that resizes each axis by `matrix(new, old, old pixels per new)`."""

    def rule(x: Any, sizes: Any, factors: Any) -> Any:
        old = x.shape[2:]
        new = sizes or [int(n * factor) for n, factor in zip(old, factors, strict=True)]
        scales = [1 / factor for factor in factors] if factors else [None] * len(new)
        return resizing.resize(x, list(map(matrix, new, old, scales)))

    return rule


def _nearest(x: Any, sizes: Any, factors: Any = None) -> Any:
    def matrix(new, old, scale):
        at = np.floor(np.arange(new) * np.float32(old / new if scale is None else scale))
        return resizing.nearest(at, old)

    return _resize(matrix)(x, sizes, factors)


def _nearest_exact(x: Any, sizes: Any, factors: Any = None) -> Any:
    def matrix(new, old, scale):
        at = (np.arange(new) + 0.5) * np.float32(old / new if scale is None else scale)
        return resizing.nearest(np.floor(at), old)

    return _resize(matrix)(x, sizes, factors)


def _bilinear(x: Any, sizes: Any, align_corners: bool, factors: Any = None) -> Any:
    def matrix(new, old, scale):
        return resizing.linear(resizing.centres(new, old, align_corners, scale), old)

    return _resize(matrix)(x, sizes, factors)


def _bicubic(x: Any, sizes: Any, align_corners: bool, factors: Any = None) -> Any:
    def matrix(new, old, scale):
        return resizing.cubic(resizing.centres(new, old, align_corners, scale), old)

    return _resize(matrix)(x, sizes, factors)


def _antialiased(kernel: Callable, support: float) -> Callable:
    def rule(x: Any, sizes: Any, align_corners: bool, factors: Any = None) -> Any:
        def matrix(new, old, scale):
            at = resizing.centres(new, old, align_corners, scale)
            ratio = (old - 1) / max(new - 1, 1) if align_corners else scale or old / new
            return resizing.antialiased(at, old, ratio, kernel, support)

        return _resize(matrix)(x, sizes, factors)

    return rule


RULES = {
    "upsample_bicubic2d": _bicubic,
    "upsample_bilinear2d": _bilinear,
    "upsample_nearest2d": _nearest,
    "_upsample_nearest_exact2d": _nearest_exact,
    "_upsample_bicubic2d_aa": _antialiased(resizing.cubic_kernel, 2.0),
    "_upsample_bilinear2d_aa": _antialiased(resizing.triangle_kernel, 1.0),
}
