"""Operations on the shape of a value, in the order in which it is stored where that is possible."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from fidojax.networks.graph.view import View, arranged, on_axes, plain, stored_axes, view


def reshape(x: Any, shape: Sequence[int]) -> Any:
    """Return the value in another shape; -1 stands for what is left.

    A view stays one where each axis is divided, or neighbouring ones are merged: heads and tokens
    of a picture that is stored channels last cost no transposition.
    """
    shape = _full(x.shape, shape)
    if not isinstance(x, View):
        return jnp.reshape(x, shape)
    groups = _groups(x.shape, shape)
    if groups is None:
        return jnp.reshape(plain(x), shape)
    stored, axes = stored_axes(x)
    # Merged axes must be neighbours, in order: they go where the last of them is stored.
    places = {axis: place for place, axis in enumerate(axes)}
    ranked = sorted(groups, key=lambda group: max(places[axis] for axis in group[0]))
    stored = arranged(x, [axis for old, _ in ranked for axis in old])
    lengths = [[shape[axis] for axis in new] for _, new in ranked]
    stored = jnp.reshape(stored, [length for group in lengths for length in group])
    counted = [axis for _, new in ranked for axis in new]
    return view(stored, [counted.index(axis) for axis in range(len(shape))])


def _full(old: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    known = math.prod(n for n in shape if n != -1)
    return tuple(math.prod(old) // max(known, 1) if n == -1 else int(n) for n in shape)


def _groups(
    old: Sequence[int], new: Sequence[int]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]] | None:
    """Return which old axes become which new ones: one to many or many to one; None if neither."""
    groups, i, j = [], 0, 0
    while i < len(old) and j < len(new):
        first, second, left, right = i, j, old[i], new[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                if i == len(old):
                    return None
                left, i = left * old[i], i + 1
            else:
                if j == len(new):
                    return None
                right, j = right * new[j], j + 1
        if i - first > 1 and j - second > 1:
            return None
        groups.append((tuple(range(first, i)), tuple(range(second, j))))
    if not groups or math.prod(old[i:]) != 1 or math.prod(new[j:]) != 1:
        return None
    last_old, last_new = groups.pop()
    rest = (*last_old, *range(i, len(old))), (*last_new, *range(j, len(new)))
    return None if min(map(len, rest)) > 1 else [*groups, rest]


def concatenate(values: Sequence[Any], axis: int) -> Any:
    """Return the values one after the other along an axis."""
    lead = next((x for x in values if isinstance(x, View)), values[0])
    _, axes = stored_axes(lead)
    joined = jnp.concatenate([arranged(x, axes) for x in values], axes.index(axis % lead.ndim))
    return view(joined, lead.order) if isinstance(lead, View) else joined


@on_axes
def cut(x: Any, axes: Any, starts: Any, stops: Any, steps: Any) -> Any:
    """Return a slice along each of the axes, as Python's `slice(start, stop, step)` does."""
    index: list[Any] = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        index[axis] = slice(start, stop, step)
    return x[tuple(index)]


def take_one(x: Any, axis: int, place: int) -> Any:
    """Return one place of an axis, which goes."""
    axis = axis % x.ndim
    stored, axes = stored_axes(x)
    index: list[Any] = [slice(None)] * x.ndim
    index[axes.index(axis)] = place
    left = [a for a in axes if a != axis]
    return view(stored[tuple(index)], [left.index(a) for a in range(x.ndim) if a != axis])


@on_axes
def pad(x: Any, axes: Any, widths: Any, mode: str = "constant", value: Any = 0) -> Any:
    """Pad each of the axes by (before, after); a negative width crops."""
    edges = [(0, 0)] * x.ndim
    index = [slice(None)] * x.ndim
    for axis, (low, high) in zip(axes, widths, strict=True):
        edges[axis] = max(low, 0), max(high, 0)
        index[axis] = slice(max(-low, 0), x.shape[axis] - max(-high, 0))
    x = x[tuple(index)]
    options = {"constant_values": jnp.asarray(value, x.dtype)} if mode == "constant" else {}
    return jnp.pad(x, edges, mode=mode, **options)
