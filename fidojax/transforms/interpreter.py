"""Evaluate traced programs (jaxprs) one operation at a time, by other rules than JAX's own.

    logits = interpreter.evaluate(rule, classifier, images)

calls `rule(equation, *operands)` for each operation that the result needs, in order. The values
that a rule takes and returns may be of any type that the rules agree on. `transforms.cpu`,
`transforms.relu`, `transforms.precision` and DeepLIFT each bring rules of their own.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend import core

Rule = Callable[..., list]
"""`rule(equation, *operands) -> results`, one result for each output of the equation."""
Evaluate = Callable[[core.ClosedJaxpr, list], list]
"""`evaluate(closed, operands) -> results`: `run` with a rule bound to it."""


def evaluate(rule: Rule, function: Callable, *arguments: Any) -> Any:
    """Evaluate `function(*arguments)` by a rule whose results are arrays.

    Args:
        arguments: pytrees of arrays.
    """
    traced, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    results = run(rule, traced, jax.tree.leaves(arguments))
    return jax.tree.unflatten(jax.tree.structure(shape), results)


def run(rule: Rule, closed: core.ClosedJaxpr, operands: list) -> list:
    """Return the results of a traced function, evaluating the operations they need by the rule."""
    jaxpr = closed.jaxpr
    values = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    values.update(zip(jaxpr.invars, operands, strict=True))

    def read(atom):
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for eqn in _needed(jaxpr):
        results = rule(eqn, *[read(atom) for atom in eqn.invars])
        values.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _needed(jaxpr) -> list:
    """Return the equations that the results depend on, and those with effects."""
    needed, equations = set(_variables(jaxpr.outvars)), []
    for eqn in reversed(jaxpr.eqns):
        if eqn.effects or not needed.isdisjoint(eqn.outvars):
            needed.update(_variables(eqn.invars))
            equations.append(eqn)
    return equations[::-1]


def _variables(atoms) -> list:
    return [atom for atom in atoms if not isinstance(atom, core.Literal)]


def bind(eqn: core.JaxprEqn, *operands: Any) -> list:
    """Evaluate the operation unchanged; a literal that is only copied stays a NumPy value."""
    fold = _FOLDED.get(eqn.primitive.name)
    if fold is not None and np.ndim(operands[0]) == 0 and not isinstance(operands[0], jax.Array):
        return [fold(eqn.params, operands[0])]
    results = eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(eqn.params))
    return list(results) if eqn.primitive.multiple_results else [results]


_FOLDED: dict[str, Callable] = {
    "convert_element_type": lambda params, x: np.asarray(x, params["new_dtype"]),
    "broadcast_in_dim": lambda params, x: np.broadcast_to(x, params["shape"]),
}


def is_zero(value: Any) -> bool:
    """Whether the value is a literal 0 of the program, not a computed array."""
    return not isinstance(value, jax.Array) and not np.any(value)


def body(eqn: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """Return the program that an operation calls (jit, remat, custom derivatives), or None."""
    name = CALLS.get(eqn.primitive.name)
    if name is None:
        return None
    inner = eqn.params[name]
    return inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())


CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}
"""The name of an operation -> the parameter that holds the program it calls."""


def scan_counts(eqn: core.JaxprEqn) -> tuple[int, int]:
    """Return the numbers of a scan's operands that are constants of its body, and carried."""
    if "num_consts" in eqn.params:  # JAX 0.10
        return eqn.params["num_consts"], eqn.params["num_carry"]
    constants, carried, _ = eqn.params["ft_in"].unpack()
    return len(list(constants)), len(list(carried))


def scan(evaluate: Evaluate, eqn: core.JaxprEqn, operands: list) -> list:
    """Evaluate a `jax.lax.scan` with its body by `evaluate`; operands and results are pytrees."""
    constants, carried = scan_counts(eqn)
    consts, carry = operands[:constants], operands[constants : constants + carried]

    def step(carry, xs):
        results = evaluate(eqn.params["jaxpr"], [*consts, *carry, *xs])
        return results[:carried], results[carried:]

    how = {name: eqn.params[name] for name in ("length", "reverse", "unroll")}
    carry, stacked = jax.lax.scan(step, carry, operands[constants + carried :], **how)
    return [*carry, *stacked]


def cond(evaluate: Evaluate, eqn: core.JaxprEqn, operands: list) -> list:
    """Evaluate a `jax.lax.cond` or `switch` with its branches by `evaluate`."""
    index, *operands = operands
    branches = [lambda *xs, b=branch: evaluate(b, list(xs)) for branch in eqn.params["branches"]]
    return jax.lax.switch(index, branches, *operands)


def primitives(closed: core.ClosedJaxpr) -> set[str]:
    """Return the names of a program's operations and of those it calls, without the calls."""
    names = set()
    for eqn in closed.jaxpr.eqns:
        inner = body(eqn)
        names |= {eqn.primitive.name} if inner is None else primitives(inner)
    return names


PIECEWISE_LINEAR = {
    "abs", "add", "add_any", "and", "clamp", "convert_element_type", "copy", "copy_p", "div", "eq",
    "ge", "gt", "is_finite", "le", "lt", "max", "min", "mul", "ne", "neg", "not", "or",
    "reduce_precision", "select_n", "sign", "stop_gradient", "sub", "xor",
}  # fmt: skip
ELEMENTWISE = PIECEWISE_LINEAR | {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "cos", "cosh",
    "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "integer_pow", "lgamma", "log",
    "log1p", "logistic", "nextafter", "pow", "real", "rem", "round", "rsqrt", "sin", "sinh",
    "sqrt", "square", "tan", "tanh",
}  # fmt: skip
"""Operations of which each output element depends on one element of every operand."""
