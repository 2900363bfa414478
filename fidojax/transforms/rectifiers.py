"""Tell the ReLUs of a traced program from the clamps that keep a variance from falling below 0.

Both are max(x, 0). A rectifier is a clamp if

- what it rectifies is a statistic of squares: each path from the images to it has a sum over
  elements after its last convolution or matrix product with weights, and at least one a square; and
- its result is a scale: it goes nowhere but under a root or into a divisor.

Then the exact value before rounding is not negative (a variance, a mean square, a norm), or the
clamp guards the domain of the root. A ReLU after global pooling or in the gate of a squeeze-and-
excite block fails the second condition, the square root of a ReLU's result fails the first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax.extend import core

from fidojax.transforms import interpreter

RECTIFIED = core.Primitive("rectified")
"""(x, max(x, 0), *upper bound) -> max(x, 0): marks a rectifier with its parameter `number`."""
RECTIFIED.def_abstract_eval(lambda x, plain, *upper, number: plain)

EXPANDED = core.Primitive("expanded")
"""(*results of the expanded function, *results of the function) -> results: marks a function with
custom derivatives in which the rectifiers `numbers` are."""
EXPANDED.multiple_results = True
EXPANDED.def_abstract_eval(lambda *both, numbers: list(both[len(both) // 2 :]))


class _Statistic(NamedTuple):
    """What is known of a value that depends on the images.

    Attributes:
        summed: all paths from the images have a sum over elements, and no layer of weights after.
        squared: some path has a square, or an absolute value.
    """

    summed: bool = False
    squared: bool = False


def relus(closed: core.ClosedJaxpr) -> set[int]:
    """Return the numbers of the marked rectifiers of a program that are ReLUs.

    Args:
        closed: a program whose arguments are the images, in which `RECTIFIED` and `EXPANDED` mark
            the rectifiers; it calls no other program but in loops and branches.
    """
    return _relus(closed.jaxpr, [_Statistic()] * len(closed.jaxpr.invars))


def _relus(jaxpr: core.Jaxpr, entering: Sequence[_Statistic | None]) -> set[int]:
    known = {var: value for var, value in zip(jaxpr.invars, entering, strict=True) if value}
    found, names = set(), _names(jaxpr)
    for eqn in jaxpr.eqns:
        operands = [_of(known, atom) for atom in eqn.invars]
        if any(operands):
            known.update(zip(eqn.outvars, _results(eqn, operands, names), strict=True))
        for body, values in _bodies(eqn, operands):
            found |= _relus(body, values)
    others = _not_scales(jaxpr, known)
    for eqn in jaxpr.eqns:
        value = _of(known, eqn.invars[0]) if eqn.primitive is RECTIFIED else None
        if value and not (all(value) and eqn.outvars[0] not in others):
            found.add(eqn.params["number"])
    return found


def _of(known: dict, atom) -> _Statistic | None:
    return None if isinstance(atom, core.Literal) else known.get(atom)


def _bodies(eqn: core.JaxprEqn, operands: list) -> list[tuple[core.Jaxpr, list]]:
    """Return the bodies of a loop or branch, and what is known of their operands."""
    if eqn.primitive.name == "scan":
        constants, carried = interpreter.scan_counts(eqn)
        last = constants + carried
        operands = [*operands[:constants], *[_Statistic()] * carried, *operands[last:]]
        return [(eqn.params["jaxpr"].jaxpr, operands)]
    if eqn.primitive.name == "cond":
        return [(branch.jaxpr, operands[1:]) for branch in eqn.params["branches"]]
    return []


def _names(jaxpr: core.Jaxpr) -> dict:
    """Return a name for each computed variable, the same for those that are computed alike."""
    names, forms = {}, {}
    for eqn in jaxpr.eqns:
        operands = [str(x) if isinstance(x, core.Literal) else names.get(x, x) for x in eqn.invars]
        form = forms.setdefault((eqn.primitive, *operands, str(eqn.params)), len(forms))
        names.update({var: (form, i) for i, var in enumerate(eqn.outvars)})
    return names


def _results(eqn: core.JaxprEqn, operands: list, names: dict) -> list[_Statistic]:
    """Return what is known of the results of an operation; some operand depends on the images."""
    name = eqn.primitive.name
    if eqn.primitive is EXPANDED:
        return [value or _Statistic() for value in operands[: len(operands) // 2]]
    values = [value for value in operands if value]
    squared = any(value.squared for value in values) or _is_square(eqn, names)
    if name in _SUMS or (name in _PRODUCTS and len(values) > 1):
        result = _Statistic(True, squared)
    elif name in _MOVING or name in interpreter.ELEMENTWISE or eqn.primitive is RECTIFIED:
        result = _Statistic(all(value.summed for value in values), squared)
    else:
        result = _Statistic()
    return [result] * len(eqn.outvars)


def _is_square(eqn: core.JaxprEqn, names: dict) -> bool:
    name, operands = eqn.primitive.name, eqn.invars
    if name in ("integer_pow", "pow"):
        exponent = eqn.params["y"] if name == "integer_pow" else getattr(operands[1], "val", 1)
        return exponent % 2 == 0
    if name in ("mul", *_PRODUCTS):
        one, other = (x if isinstance(x, core.Literal) else names.get(x, x) for x in operands)
        return one == other
    return name in ("square", "abs")


def _not_scales(jaxpr: core.Jaxpr, known: dict) -> set:
    """Return the variables that are used elsewhere than under a root or in a divisor."""
    others = {atom for atom in jaxpr.outvars if not isinstance(atom, core.Literal)}
    for eqn in reversed(jaxpr.eqns):
        for at, atom in enumerate(eqn.invars):
            if not isinstance(atom, core.Literal) and not _is_scale(eqn, at, known, others):
                others.add(atom)
    return others


def _is_scale(eqn: core.JaxprEqn, at: int, known: dict, others: set) -> bool:
    """Whether an operation takes its operand number `at` as a scale, or passes it on as one."""
    name = eqn.primitive.name
    if name in ("sqrt", "rsqrt") or (name, at) in (("pow", 0), ("div", 1)):
        return True
    if name == "integer_pow" and eqn.params["y"] < 0:
        return True
    if not any(
        jnp.issubdtype(getattr(var.aval, "dtype", bool), jnp.inexact) for var in eqn.outvars
    ):
        return True  # a comparison has no gradient
    if eqn.primitive is EXPANDED:
        return eqn.outvars[at % len(eqn.outvars)] not in others
    rest = [_of(known, atom) for atom in (*eqn.invars[:at], *eqn.invars[at + 1 :])]
    passes = name in _MOVING or name in _SUMS or name in _SCALING or eqn.primitive is RECTIFIED
    alike = all(value is None or all(value) for value in rest)
    return passes and alike and others.isdisjoint(eqn.outvars)


_PRODUCTS = ("conv_general_dilated", "dot_general")
_SUMS = {"cumsum", "psum", "reduce_sum", "reduce_window_sum"}
_MOVING = {
    "broadcast_in_dim", "concatenate", "copy", "dynamic_slice", "expand_dims", "gather", "pad",
    "reshape", "rev", "slice", "split", "squeeze", "stack", "tile", "transpose", "unstack",
}  # fmt: skip
_SCALING = {
    "add", "add_any", "clamp", "convert_element_type", "div", "max", "min", "mul",
    "reduce_precision", "select_n", "sub",
}  # fmt: skip
"""Elementwise operations whose result is a scale if an operand is one."""
