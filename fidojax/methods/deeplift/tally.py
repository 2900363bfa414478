"""The count of the nonlinear elements at which RevealCancel is undefined and Rescale stands in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax.numpy as jnp


class Counts(NamedTuple):
    """Numbers of elements, float32 scalars.

    Attributes:
        undefined: those at which RevealCancel is undefined.
        total: all that take RevealCancel.
    """

    undefined: Any
    total: Any


class Tally:
    """Collects counts while a program is traced.

    The body of a loop or branch is a trace of its own, which traced values can only leave as its
    results: it counts inside `inner`, and hands what it counted out.
    """

    def __init__(self) -> None:
        self._counts: list[Counts] = []

    def add(self, undefined: Any, total: Any) -> None:
        self._counts.append(Counts(jnp.float32(undefined), jnp.float32(total)))

    def sum(self) -> Counts:
        each = zip(Counts(0, 0), *self._counts, strict=True)
        return Counts(*(jnp.float32(sum(numbers)) for numbers in each))

    @contextmanager
    def inner(self) -> Iterator[None]:
        """Count apart from what was counted before; nothing of it stays after the context."""
        outer, self._counts = self._counts, []
        try:
            yield
        finally:
            self._counts = outer
