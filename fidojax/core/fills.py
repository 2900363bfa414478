"""Infillers as options are given: one or several, by name; which mask is filled by which."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from fidojax.types import Image, Images, Infiller

EXPECTED = "an infiller such as infillers.blur(), or its name"
"""What messages say of the option `infill`."""
_makers: list[Callable[[str], Infiller]] = []
"""What makes an infiller of its name: the package of infillers lies above this one."""


def make_named_infillers(maker: Callable[[str], Infiller]) -> None:
    """Say what makes an infiller of its name, such as "blur" or "blur:sigma=5"."""
    _makers[:] = [maker]


def as_fills(infill: Infiller | str | Sequence[Infiller | str]) -> tuple[Infiller, ...]:
    """Return the option `infill`, an infiller or several, as a tuple.

    Raises:
        TypeError, ValueError: there is no infiller, or as `by_name`.
    """
    found = by_name(infill)
    return (found,) if callable(found) else tuple(found)


def by_name(infill: Any, asker: str = "", *, several: bool = True, optional: bool = False) -> Any:
    """Return the option `infill` with infillers in place of their names.

    Args:
        infill: an infiller, its name, or a sequence of these.
        asker: the function that has the option, for messages.
        several: whether it takes a sequence.
        optional: whether it takes None.

    Raises:
        TypeError: it is something else, such as a factory that was not called.
        ValueError: there is no infiller of the name, or the sequence is empty.
    """
    before = f"{asker}: " if asker else ""
    if infill is None and optional:
        return None
    if isinstance(infill, str) and _makers:
        # The arrays of an infiller are its own, not those of a trace that is going on.
        with jax.ensure_compile_time_eval():
            return _makers[0](infill)
    if isinstance(infill, tuple | list) and not callable(infill):
        if not several:
            raise TypeError(f"{before}infill has {len(infill)} entries, expected one infiller")
        if not infill:
            raise ValueError(f"{before}infill is empty, expected an infiller or several")
        return type(infill)([by_name(each, asker, several=False) for each in infill])
    if not callable(infill):
        shown = repr(infill) if isinstance(infill, int | float) else f"a {type(infill).__name__}"
        shown = "None" if infill is None else shown
        raise TypeError(f"{before}infill is {shown}, expected {EXPECTED}")
    if inspect.isfunction(infill) and _is_factory(infill):
        name = infill.__name__
        raise TypeError(
            f"{before}infill is the function {name}, which makes an infiller: call it,"
            f" infill={name}(...)"
        )
    return infill


def _is_factory(function: Callable[..., Any]) -> bool:
    """Whether a function makes infillers, as those of the package `infillers` say of themselves."""
    return inspect.signature(function).return_annotation is Infiller


def references(
    fills: Sequence[Infiller],
    which: Sequence[int],
    keys: Key[Array, " n"],
    image: Image,
    masks: Float[Array, "n h w"],
) -> Images:
    """Return the reference picture of every mask, "n h w c"; no gradient passes through it.

    Args:
        fills: the infillers.
        which: the index of the infiller of every mask; an infiller sees its masks in one batch.
        keys: one for every mask.
        image: the picture.
        masks: values in [0, 1]; the infillers see them rounded.
    """
    hard = jax.lax.stop_gradient(jnp.round(masks))
    own = [np.flatnonzero(np.asarray(which) == number) for number in range(len(fills))]
    filled = [
        jax.vmap(fill, in_axes=(0, None, 0))(
            *((keys, image, hard) if len(rows) == len(which) else (keys[rows], image, hard[rows]))
        )
        for fill, rows in zip(fills, own, strict=True)
        if len(rows)
    ]
    if len(filled) == 1:
        return jax.lax.stop_gradient(filled[0])
    order = np.argsort(np.concatenate(own))
    return jax.lax.stop_gradient(jnp.concatenate(filled)[order])
