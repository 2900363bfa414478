"""Convolutions of values "n c ...", computed with the channels stored last."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from fidojax.networks.graph.view import arranged, channels_last, from_channels_last

KERNEL_ORDERS = {3: (2, 1, 0), 4: (3, 2, 0, 1), 5: (4, 3, 0, 1, 2)}
"""The number of a kernel's axes -> the order of the view "o i ..." of a kernel "... i o"."""
_LAYOUTS = {3: ("NWC", "WIO", "NWC"), 4: ("NHWC", "HWIO", "NHWC"), 5: ("NDHWC", "DHWIO", "NDHWC")}


def kernel_axes(rank: int) -> tuple[int, ...]:
    """Return the order in which a kernel "o i ..." is transposed to be stored "... i o"."""
    return (*range(2, rank), 1, 0)


def convolution(
    x: Any,
    kernel: Any,
    bias: Any = None,
    *,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilations: Sequence[int],
    groups: int = 1,
) -> Any:
    """Return the convolution of "n i ..." with "o i/groups ...", plus the bias, "n o ..."."""
    rank = x.ndim
    image, taps = channels_last(x), arranged(kernel, kernel_axes(rank))
    dtype = jnp.promote_types(image.dtype, taps.dtype)
    y = lax.conv_general_dilated(
        image.astype(dtype),
        taps.astype(dtype),
        tuple(strides),
        tuple(pads),
        rhs_dilation=tuple(dilations),
        dimension_numbers=_LAYOUTS[rank],
        feature_group_count=groups,
    )
    return from_channels_last(y if bias is None else y + bias)


def transposed_convolution(
    x: Any,
    kernel: Any,
    bias: Any = None,
    *,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
    more: Sequence[int],
    dilations: Sequence[int],
    groups: int = 1,
) -> Any:
    """Return the transposed convolution of "n i ..." with "i o/groups ...", "n o ...".

    Args:
        pads: rows and columns that are cropped from the full result, per axis.
        more: rows and columns added at the end of each axis.
    """
    rank = x.ndim
    image, taps = channels_last(x), arranged(kernel, (*range(2, rank), 0, 1))
    dtype = jnp.promote_types(image.dtype, taps.dtype)
    taps = jnp.flip(taps, tuple(range(rank - 2)))
    *window, inner, outer = taps.shape
    # lax groups the kernel's outputs; here its inputs are grouped.
    taps = taps.reshape(*window, groups, inner // groups, outer)
    taps = jnp.moveaxis(taps, rank - 2, rank - 1).reshape(*window, inner // groups, groups * outer)
    edges = [
        (dilation * (k - 1) - low, dilation * (k - 1) - high + extra)
        for k, (low, high), extra, dilation in zip(window, pads, more, dilations, strict=True)
    ]
    y = lax.conv_general_dilated(
        image.astype(dtype),
        taps.astype(dtype),
        (1,) * (rank - 2),
        edges,
        lhs_dilation=tuple(strides),
        rhs_dilation=tuple(dilations),
        dimension_numbers=_LAYOUTS[rank],
        feature_group_count=groups,
    )
    return from_channels_last(y if bias is None else y + bias)
