"""Arrays whose axes are stored in another order than they are counted in.

PyTorch and ONNX count the axes of pictures "n c h w"; fidojax, and XLA's fast convolutions on the
CPU, store them "n h w c". A `View` keeps both: operations that can compute in the stored order do,
so that a network of convolutions never transposes a picture, and `plain` transposes for all others.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """An array counted in another order than stored: axis i of the view is axis order[i].

    Attributes:
        stored: the array.
        order: a permutation of its axes, other than the identity.
    """

    stored: Any
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes as they are counted."""
        return tuple(self.stored.shape[axis] for axis in self.order)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.order)

    @property
    def dtype(self) -> Any:
        """The type of the elements."""
        return self.stored.dtype

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.stored.size


def view(stored: Any, order: Sequence[int]) -> Any:
    """Return the array whose axis i is axis order[i] of `stored`, without computing anything."""
    order = tuple(order)
    return stored if order == tuple(range(len(order))) else View(stored, order)


def plain(x: Any) -> Any:
    """Return the value as an array with its axes in the order in which they are counted."""
    return jnp.transpose(x.stored, x.order) if isinstance(x, View) else x


def arranged(x: Any, axes: Sequence[int]) -> Any:
    """Return an array whose axis j is axis axes[j] of the value: `plain(permuted(x, axes))`."""
    return plain(permuted(x, axes))


def permuted(x: Any, axes: Sequence[int]) -> Any:
    """Return the value with axis j counted where axis axes[j] was, without computing anything."""
    axes = [axis % x.ndim for axis in axes]
    if isinstance(x, View):
        return view(x.stored, [x.order[axis] for axis in axes])
    return view(x, axes)


def stored_axes(x: Any) -> tuple[Any, tuple[int, ...]]:
    """Return an array, and for each of its axes which axis of the value it is."""
    if isinstance(x, View):
        return x.stored, tuple(int(axis) for axis in np.argsort(x.order))
    return x, tuple(range(x.ndim))


def channels_last(x: Any) -> Any:
    """Return "n c ..." as an array "n ... c"."""
    return arranged(x, (0, *range(2, x.ndim), 1))


def from_channels_last(y: Any) -> Any:
    """Return an array "n ... c" as the value "n c ..."."""
    return view(y, (0, y.ndim - 1, *range(1, y.ndim - 1)))


def on_plain(function: Callable) -> Callable:
    """Return an operation that takes its operands as arrays in the order in which they count."""

    @functools.wraps(function)
    def operation(*operands, **options):
        return function(*_plain_all(operands), **options)

    return operation


def _plain_all(operands):
    return [type(x)(_plain_all(x)) if isinstance(x, tuple | list) else plain(x) for x in operands]


def on_axes(function: Callable) -> Callable:
    """Return an operation that keeps the number of axes: `function(x, axes, ...)`.

    It computes in the stored order, with each axis named by its place there.
    """

    @functools.wraps(function)
    def operation(x, axes, *rest, **options):
        many = isinstance(axes, tuple | list)
        named = [axis % x.ndim for axis in (axes if many else [axes])]
        if isinstance(x, View):
            named = [x.order[axis] for axis in named]
            y = function(x.stored, tuple(named) if many else named[0], *rest, **options)
            if isinstance(y, tuple | list):
                return tuple(view(each, x.order) for each in y)
            return view(y, x.order)
        return function(x, tuple(named) if many else named[0], *rest, **options)

    return operation


def elementwise(function: Callable) -> Callable:
    """Return an operation on elements, with broadcasting, in the order in which most are stored."""

    @functools.wraps(function)
    def operation(*operands, **options):
        views = [x for x in operands if isinstance(x, View)]
        rank = max((getattr(x, "ndim", 0) for x in operands), default=0)
        views = [x for x in views if x.ndim == rank]
        if not views:
            return function(*[plain(x) for x in operands], **options)
        lead = max(views, key=lambda x: x.size)
        _, axes = stored_axes(lead)
        laid = [_laid(x, axes) for x in operands]
        return view(function(*laid, **options), lead.order)

    return operation


def _laid(x: Any, axes: tuple[int, ...]) -> Any:
    if getattr(x, "ndim", 0) == 0:
        return x
    if x.ndim < len(axes):
        x = plain(x)
        x = jnp.reshape(x, (1,) * (len(axes) - x.ndim) + x.shape)
    return arranged(x, axes)
