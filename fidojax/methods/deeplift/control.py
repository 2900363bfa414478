"""Loops and branches: values enter and leave their bodies as plain arrays.

Each array has a mark: 0 for what does not depend on the image, 1 for what does, 2 where its
nonlinearities take RevealCancel. A loop's marks grow until what enters its body leaves it alike.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fidojax.methods.deeplift.value import Parts, Value
from fidojax.transforms import interpreter


class _Arrays(NamedTuple):
    """A value as a pytree."""

    image: Any
    reference: Any
    parts: Parts


def scan(rule: interpreter.Rule, eqn, operands: list, parts: int) -> list:
    """Evaluate a scan with operands that depend on the image."""
    body, (constants, carried) = eqn.params["jaxpr"], interpreter.scan_counts(eqn)
    last = constants + carried
    marks = [_mark(operand) for operand in operands]
    while True:
        lowered = [_lower(*pair, parts) for pair in zip(operands, marks, strict=True)]
        first = lowered[:last] + jax.tree.map(lambda x: x[0], lowered[last:])
        found = _leaving(rule, body, first, marks)
        grown = [max(pair) for pair in zip(marks[constants:last], found[:carried], strict=True)]
        if grown == marks[constants:last]:
            break
        marks[constants:last] = grown
    leaving = grown + found[carried:]

    def evaluate(closed, arrays):
        results = interpreter.run(rule, closed, list(map(_raise, arrays, marks)))
        return [_lower(*pair, parts) for pair in zip(results, leaving, strict=True)]

    return list(map(_raise, interpreter.scan(evaluate, eqn, lowered), leaving))


def cond(rule: interpreter.Rule, eqn, operands: list, parts: int) -> list:
    """Evaluate a branch with operands that depend on the image; the choice itself must not."""
    index, *operands = operands
    marks = [_mark(operand) for operand in operands]
    lowered = [_lower(*pair, parts) for pair in zip(operands, marks, strict=True)]
    found = [_leaving(rule, branch, lowered, marks) for branch in eqn.params["branches"]]
    leaving = [max(branches) for branches in zip(*found, strict=True)]

    def evaluate(closed, arrays):
        results = interpreter.run(rule, closed, list(map(_raise, arrays, marks)))
        return [_lower(*pair, parts) for pair in zip(results, leaving, strict=True)]

    return list(map(_raise, interpreter.cond(evaluate, eqn, [index, *lowered]), leaving))


def _leaving(rule, closed, arrays: list, marks: list[int]) -> list[int]:
    """Return which results of a body depend on the image, without computing it."""
    found = []

    def evaluate(arrays):
        found.extend(map(_mark, interpreter.run(rule, closed, list(map(_raise, arrays, marks)))))

    jax.eval_shape(evaluate, arrays)
    return found


def _mark(operand: Any) -> int:
    return 1 + operand.root.reveal if isinstance(operand, Value) else 0


def _lower(operand: Any, mark: int, parts: int) -> Any:
    if not mark:
        return operand
    if isinstance(operand, Value):
        return _Arrays(operand.image, operand.reference, operand.parts)
    array = jnp.asarray(operand)
    return _Arrays(array, array, (jnp.zeros_like(array),) * parts)


def _raise(arrays: Any, mark: int) -> Any:
    return Value(*arrays, reveal=mark == 2) if mark else arrays
