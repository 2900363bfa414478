"""A value that depends on the image, and how an elementwise function passes its difference on.

Elementwise operations on one value are kept together as one function of it, however many
operations spell it: x times sigmoid(x) is one nonlinearity, as is min(max(x, 0), 6).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fidojax.methods.deeplift.tally import Tally

Parts = tuple[Any, ...]
"""(positive, negative) parts of a difference, or (difference,)."""

NEAR_ZERO = 1e-7
"""Differences below it are taken as 0, as in the authors' code."""


MODERATE = 100.0
"""RevealCancel may take a value to this multiple of the sizes that meet in it, no farther."""


class DifferenceRule(NamedTuple):
    """What nonlinearities take after convolutions and after dense layers.

    Each is the tally of RevealCancel, or None for Rescale.
    """

    conv: Tally | None
    dense: Tally | None


@dataclass(frozen=True, eq=False)
class Value:
    """A value that depends on the image.

    Attributes:
        image: at the image.
        reference: at the reference.
        source: the parts of its difference if it is the result of anything but an elementwise
            function of another value; else None.
        root: that other value; None where there are parts.
        operation: the last step of that function, of `operands`: values of this root and arrays.
        affine: whether that function is.
        reveal: the tally, where a nonlinear function of this value takes RevealCancel; else None.
    """

    image: Any
    reference: Any
    source: Parts | None = None
    reveal: Tally | None = None
    of: "Value | None" = None
    operation: Callable | None = None
    operands: tuple = ()
    affine: bool = True

    @property
    def root(self) -> "Value":
        return self.of or self

    def at(self, point: Any, known: dict[int, Any] | None = None) -> Any:
        """Return this value at a point of its root."""
        if self.operation is None:
            return point
        known = {} if known is None else known
        if id(self) not in known:
            operands = [o.at(point, known) if isinstance(o, Value) else o for o in self.operands]
            known[id(self)] = self.operation(*operands)
        return known[id(self)]

    @cached_property
    def parts(self) -> Parts:
        """The parts of the difference, linear in those of the root."""
        if self.source is not None:
            return self.source
        if not jnp.issubdtype(self.image.dtype, jnp.floating):
            raise ValueError(
                f"DeepLIFT has no rule for what this classifier does with {self.image.dtype} "
                "values that depend on the image"
            )
        if self.affine:
            parts = scaled(slope(self, self.root.reference), self.root.parts)
        elif self.root.reveal is None:
            parts = rescaled(self)
        else:
            parts = revealed(self, self.root.reveal)
        # The root may be in another precision.
        return tuple(part.astype(self.image.dtype) for part in parts)


def reveal_of(values: Sequence[Value]) -> Tally | None:
    """Return the tally where any of the values takes RevealCancel, else None."""
    return next((value.root.reveal for value in values if value.root.reveal is not None), None)


def mean_of(operand: Any) -> Any:
    """Return the mean of a value at the image and at the reference; of an array, the array."""
    if isinstance(operand, Value):
        return (operand.image + operand.reference) / 2
    return jnp.asarray(operand)


def added(*parts: Parts) -> Parts:
    """Return the sums of the positive and of the negative parts."""
    return tuple(sum(same[1:], same[0]) for same in zip(*parts, strict=True))


def slope(value: Value, point: Any) -> Any:
    """Return the derivative of a value's function at a point of its root."""
    return jax.jvp(value.at, (point,), (jnp.ones_like(point),))[1]


def change(image: Any, reference: Any) -> Any:
    """Return image - reference, and 0 where both are the same infinity."""
    return jnp.where(image == reference, 0, image - reference)


def scaled(factor: Any, parts: Parts) -> Parts:
    """Return the parts times a factor; a negative factor exchanges their signs."""
    turned = parts[::-1]
    return tuple(
        jnp.where(factor < 0, factor * other, factor * part)
        for part, other in zip(parts, turned, strict=True)
    )


def rescaled(value: Value) -> Parts:
    """The Rescale rule: one secant for both parts."""
    return scaled(secant(value), value.root.parts)


def secant(value: Value) -> Any:
    """Difference of a value per difference of its root, the slope where that vanishes.

    A vanishing difference still has a secant where the slope changes within it by more than
    rounding spoils the secant, as that of 1 / sqrt(variance + 1e-6) does near 0.
    """
    entering = change(value.root.image, value.root.reference)
    leaving = change(value.image, value.reference)
    before, after = slope(value, value.root.reference), slope(value, value.root.image)
    rounding = jnp.finfo(leaving.dtype).eps * (jnp.abs(value.image) + jnp.abs(value.reference))
    steady = jnp.abs(entering * (after - before)) <= rounding
    flat = (entering == 0) | (jnp.abs(entering) < NEAR_ZERO) & steady
    return jnp.where(flat, before, leaving / jnp.where(flat, 1, entering))


def revealed(value: Value, tally: Tally) -> Parts:
    """The RevealCancel rule: what each part adds, before and after the other, on average.

    What adds to a value is its positive part: a falling function turns the parts round. Where one
    part alone leaves the function's domain, as that of a logarithm, or takes it so far that
    rounding would spoil the sum of both, as an exponential, both are rescaled; so are two parts
    that both vanish in rounding.
    """
    positive, negative = value.root.parts
    up, down = jax.lax.stop_gradient((positive, negative))
    small = _small(value, up, down)
    rise, fall = _per_unit(value, up, down, small), _per_unit(value, down, up, small)
    defined = jnp.isfinite(rise) & jnp.isfinite(fall) & _moderate(value, up, down)
    tally.add(jnp.sum(~defined), defined.size)
    together = ~defined | (jnp.maximum(jnp.abs(up), jnp.abs(down)) < small)
    rise, fall = (jnp.where(together, secant(value), each) for each in (rise, fall))
    risen = scaled(rise, (positive, jnp.zeros_like(positive)))
    fallen = scaled(fall, (jnp.zeros_like(negative), negative))
    return (risen[0] + fallen[0], risen[1] + fallen[1])


def _moderate(value: Value, *parts: Any) -> Any:
    """Whether the values after one part alone are no larger than what rounding allows.

    A function of slope 1 takes a part to at most the sum of the sizes that meet there.
    """
    sizes = [value.root.reference, *parts, value.reference, value.image]
    size = sum(jnp.where(jnp.isfinite(each), jnp.abs(each), 0) for each in sizes)
    farthest = [jnp.abs(value.at(value.root.reference + part)) for part in parts]
    return jnp.maximum(*farthest) <= MODERATE * size


def _small(value: Value, part: Any, other: Any) -> Any:
    """Return the size of a part whose effect would be lost in rounding."""
    before = value.root.reference
    size = jnp.where(jnp.isfinite(before), jnp.abs(before), 0) + jnp.abs(part) + jnp.abs(other)
    return jnp.maximum(NEAR_ZERO, jnp.sqrt(jnp.finfo(size.dtype).eps) * size)


def _per_unit(value: Value, part: Any, other: Any, small: Any) -> Any:
    """What a part of the root's difference adds to a value, per unit of it.

    A part below `small` has the limit of what it adds per unit, where the authors' code moves the
    part away from 0, and leaves the rest of the difference to the other.
    """
    f, start, end, before = value.at, value.reference, value.image, value.root.reference

    def limit(other: Any) -> Any:
        return (slope(value, before) + slope(value, before + other)) / 2

    added = (change(f(before + part), start) + change(end, f(before + other))) / 2
    rest = change(end, start) - other * limit(part)
    added = jnp.where(jnp.abs(other) < small, rest, added)
    flat = jnp.abs(part) < small
    return jnp.where(flat, limit(other), added / jnp.where(flat, 1, part))
