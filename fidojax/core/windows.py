"""Sliding windows over a picture: which pixels each window covers, and sums over windows."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fidojax.core.checks import check_count, check_name
from fidojax.types import Image, Saliency

BORDERS = ("clip", "drop")


def lay_windows(
    image: Image, window: int | tuple[int, int], stride: int | tuple[int, int], border: str = "clip"
) -> tuple[Bool[Array, "rows h"], Bool[Array, "columns w"]]:
    """Return which pixel rows each row of windows covers, and which pixel columns each column.

    Windows are counted from the top left.

    Raises:
        ValueError: an unknown border, a count below 1, or a window larger than the image.
    """
    check_name("border", border, BORDERS)
    windows = (window, window) if isinstance(window, int) else window
    strides = (stride, stride) if isinstance(stride, int) else stride
    check_count(window=min(windows), stride=min(strides))
    if windows[0] > image.shape[0] or windows[1] > image.shape[1]:
        raise ValueError(f"window is {window}, expected at most the image's {image.shape[:2]}")

    def along(size, window, stride):
        rest = size - window
        count = 1 + (rest // stride if border == "drop" else -(-rest // stride))
        first = stride * jnp.arange(count)[:, None]
        return (jnp.arange(size) >= first) & (jnp.arange(size) < first + window)

    rows, columns = map(along, image.shape[:2], windows, strides)
    return rows, columns


def sum_over_windows(
    values: Float[Array, "rows columns"],
    rows: Bool[Array, "rows h"],
    columns: Bool[Array, "columns w"],
) -> Saliency:
    """Return at each pixel the sum of the values of all windows that cover it."""
    down, across = rows.astype(values.dtype), columns.astype(values.dtype)
    return jnp.einsum("ih,ij,jw->hw", down, values, across, precision="highest")
