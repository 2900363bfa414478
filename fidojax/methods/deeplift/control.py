"""Loops and branches: values enter and leave their bodies as plain arrays.

Each array has a mark: 0 for what does not depend on the image, 1 for what does, 2 where its
nonlinearities take RevealCancel. A loop's marks grow until what enters its body leaves it alike.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fidojax.methods.deeplift.tally import Tally
from fidojax.methods.deeplift.value import Parts, Value
from fidojax.transforms import interpreter


class _Arrays(NamedTuple):
    """A value as a pytree."""

    image: Any
    reference: Any
    parts: Parts


def scan(rule: interpreter.Rule, tally: Tally, eqn, operands: list, parts: int) -> list:
    """Evaluate a scan with operands that depend on the image."""
    body, (constants, carried) = eqn.params["jaxpr"], interpreter.scan_counts(eqn)
    last = constants + carried
    marks = [_mark(operand) for operand in operands]
    while True:
        lowered = [_lower(*pair, parts) for pair in zip(operands, marks, strict=True)]
        first = lowered[:last] + jax.tree.map(lambda x: x[0], lowered[last:])
        found = _leaving(rule, tally, body, first, marks)
        grown = [max(pair) for pair in zip(marks[constants:last], found[:carried], strict=True)]
        if grown == marks[constants:last]:
            break
        marks[constants:last] = grown
    leaving = grown + found[carried:]

    evaluate = _body(rule, tally, marks, leaving, parts)
    *results, counts = interpreter.scan(evaluate, eqn, lowered)
    tally.add(*map(jnp.sum, counts))
    return _raised(results, leaving, tally)


def cond(rule: interpreter.Rule, tally: Tally, eqn, operands: list, parts: int) -> list:
    """Evaluate a branch with operands that depend on the image; the choice itself must not."""
    index, *operands = operands
    marks = [_mark(operand) for operand in operands]
    lowered = [_lower(*pair, parts) for pair in zip(operands, marks, strict=True)]
    found = [_leaving(rule, tally, branch, lowered, marks) for branch in eqn.params["branches"]]
    leaving = [max(branches) for branches in zip(*found, strict=True)]

    evaluate = _body(rule, tally, marks, leaving, parts)
    *results, counts = interpreter.cond(evaluate, eqn, [index, *lowered])
    tally.add(*counts)
    return _raised(results, leaving, tally)


def _body(
    rule: interpreter.Rule, tally: Tally, marks: list[int], leaving: list[int], parts: int
) -> interpreter.Evaluate:
    """Return how a body is evaluated: its results as plain arrays, and last what it counted."""

    def evaluate(closed, arrays):
        with tally.inner():
            results = interpreter.run(rule, closed, _raised(arrays, marks, tally))
            lowered = [_lower(*pair, parts) for pair in zip(results, leaving, strict=True)]
            return [*lowered, tally.sum()]

    return evaluate


def _leaving(rule, tally: Tally, closed, arrays: list, marks: list[int]) -> list[int]:
    """Return which results of a body depend on the image, without computing it."""
    found = []

    def evaluate(arrays):
        with tally.inner():
            found.extend(map(_mark, interpreter.run(rule, closed, _raised(arrays, marks, tally))))

    jax.eval_shape(evaluate, arrays)
    return found


def _mark(operand: Any) -> int:
    return 1 + (operand.root.reveal is not None) if isinstance(operand, Value) else 0


def _lower(operand: Any, mark: int, parts: int) -> Any:
    if not mark:
        return operand
    if isinstance(operand, Value):
        return _Arrays(operand.image, operand.reference, operand.parts)
    array = jnp.asarray(operand)
    return _Arrays(array, array, (jnp.zeros_like(array),) * parts)


def _raised(operands: list, marks: list[int], tally: Tally) -> list:
    reveal = (None, None, tally)
    return [
        Value(*operand, reveal=reveal[mark]) if mark else operand
        for operand, mark in zip(operands, marks, strict=True)
    ]
