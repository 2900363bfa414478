"""Find the attention of a transformer in its traced program, and differentiate a score by it.

    logits, attention = attended(classifier, images)

An attention matrix is recognised by what it computes, so that a network needs no layer names: a
softmax over the last axis whose result is "1 heads tokens tokens", also in jit, remat, and in the
body of a scan, whose steps are taken one by one.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax.extend import core
from jaxtyping import Array, Float

from fidojax.core import logits_of, widened
from fidojax.transforms import interpreter
from fidojax.types import Classifier, Images, Logits

Attention = Float[Array, "heads tokens tokens"]
"""One layer's shares: each row, a token's, has sum 1."""


def attended(
    classifier: Classifier, images: Images, probes: Sequence[Attention] | None = None
) -> tuple[Logits, list[Attention]]:
    """Return the logits of one picture and the attention of every layer, in order.

    Args:
        classifier: a callable pytree that runs on one picture at a time.
        images: "1 h w c".
        probes: what is added to each layer's attention: the gradient of a score by a probe, at 0,
            is that by the attention.

    Raises:
        ValueError: the program has no attention, or not all layers attend to the same tokens, as
            where tokens attend to fewer, averaged ones, or one query pools them.
    """
    traced = jax.make_jaxpr(partial(logits_of, classifier))(images)
    marked = _marked(traced.jaxpr)
    found: list[Attention] = []
    other = _softmaxes(traced.jaxpr) - marked
    followed: dict[int, Any] = {}

    def rule(eqn, *operands):
        inner = interpreter.body(eqn)
        if inner is not None:
            return interpreter.run(rule, inner, list(operands))
        if eqn.primitive.name == "scan" and _softmaxes(eqn.params["jaxpr"].jaxpr):
            return _unrolled(partial(interpreter.run, rule), eqn, list(operands))
        results = interpreter.bind(eqn, *operands)
        if id(eqn) not in marked:
            if id(eqn) in other:
                followed[id(results[0])] = results[0], results[0].shape[-2:]
            _follow(followed, eqn, operands, results)
            return results
        (shares,) = results
        found.append(widened(shares.reshape(shares.shape[-3:])))
        if probes is not None:
            shares = (widened(shares) + probes[len(found) - 1]).astype(shares.dtype)
        return [shares]

    logits = interpreter.run(rule, traced, [images])[0]
    shapes = sorted({each.shape for each in found})
    if not shapes:
        raise ValueError(
            "classifier: its program has no attention, a softmax of tokens by tokens; the method"
            " explains transformers"
        )
    if len({tokens for _, _, tokens in shapes}) > 1:
        raise ValueError(
            f"classifier: its attention is (heads, tokens, tokens) = {shapes}; the method follows"
            " one set of tokens through all layers"
        )
    return logits, found


def _follow(
    followed: dict[int, Any], eqn: core.JaxprEqn, operands: Sequence, results: list
) -> None:
    """Follow a softmax that is not square to a product that sums over its last axis, and refuse it.

    Such a product is attention of queries to other keys; any other use, as a gate's, is none.
    """
    if eqn.primitive.name == "dot_general":
        for operand, summed in zip(operands, eqn.params["dimension_numbers"][0], strict=True):
            queries, keys = followed.get(id(operand), (None, (0, 0)))[1]
            if keys and keys == math.prod(operand.shape[axis] for axis in summed):
                raise ValueError(
                    f"classifier: its attention has {queries} queries and {keys} keys; the method"
                    " follows one set of tokens through all layers"
                )
    elif eqn.primitive.name in _PASSING | {"transpose", "squeeze"} and id(operands[0]) in followed:
        followed[id(results[0])] = results[0], followed[id(operands[0])][1]


def _softmaxes(jaxpr: core.Jaxpr) -> set[int]:
    """Return the identities of the equations that end a softmax "... a b" of at least 4 axes."""
    makers = {var: eqn for eqn in jaxpr.eqns for var in eqn.outvars}
    ends: list[Any] = [eqn for eqn in jaxpr.eqns if _is_softmax(eqn, makers)]
    found = {id(eqn) for eqn in ends if len(eqn.outvars[0].aval.shape) > 3}
    return found.union(*(_softmaxes(inner) for inner in _bodies(jaxpr)))


def _bodies(jaxpr: core.Jaxpr) -> list[core.Jaxpr]:
    """Return the programs that the operations of a program call."""
    called = [
        eqn.params.get("jaxpr") if eqn.primitive.name == "scan" else interpreter.body(eqn)
        for eqn in jaxpr.eqns
    ]
    return [each.jaxpr for each in called if each is not None]


def _marked(jaxpr: core.Jaxpr) -> set[int]:
    """Return the identities of the equations whose results are attention."""
    makers = {var: eqn for eqn in jaxpr.eqns for var in eqn.outvars}
    marked = {id(eqn) for eqn in jaxpr.eqns if _is_attention(eqn, makers)}
    marked = marked.union(*(_marked(inner) for inner in _bodies(jaxpr)))
    windows: list[Any] = [
        eqn for eqn in jaxpr.eqns if id(eqn) in marked and not _of_one_picture(eqn)
    ]
    if windows:
        shape = windows[0].outvars[0].aval.shape
        raise ValueError(
            f"classifier: its attention has shape {shape}, expected (1, heads, tokens, tokens);"
            " the method explains transformers whose tokens attend to the whole picture"
        )
    return marked


def _is_attention(eqn: Any, makers: dict[Any, core.JaxprEqn]) -> bool:
    """Whether an equation ends a softmax over the last axis of a square of tokens."""
    if not _is_softmax(eqn, makers):
        return False
    shape = eqn.outvars[0].aval.shape
    return len(shape) > 2 and shape[-1] == shape[-2] > 1


def _is_softmax(eqn: Any, makers: dict[Any, core.JaxprEqn]) -> bool:
    """Whether an equation divides exponentials by their sum over the last axis."""
    if eqn.primitive.name != "div":
        return False
    shape = eqn.outvars[0].aval.shape
    above, below = (_maker(atom, makers) for atom in eqn.invars)
    if above is None or below is None or below.primitive.name != "reduce_sum":
        return False
    summed = _maker(below.invars[0], makers)
    last = below.params["axes"] == (len(shape) - 1,)
    return last and above is summed and above.primitive.name in ("exp", "exp2")


_PASSING = {"broadcast_in_dim", "reshape", "convert_element_type", "expand_dims", "stop_gradient",
            "optimization_barrier", "copy"}  # fmt: skip


def _maker(atom: Any, makers: dict[Any, core.JaxprEqn]) -> core.JaxprEqn | None:
    """Return the equation that computed a value, past those that change only its form."""
    while not isinstance(atom, core.Literal) and atom in makers:
        eqn = makers[atom]
        if eqn.primitive.name not in _PASSING:
            return eqn
        atom = eqn.invars[0]
    return None


def _of_one_picture(eqn: Any) -> bool:
    """Whether the shape is (1, heads, tokens, tokens), or that of JAX's own attention."""
    *batch, _, _, _ = eqn.outvars[0].aval.shape
    return batch in ([1], [1, 1])


def _unrolled(run: Callable, eqn: core.JaxprEqn, operands: list) -> list:
    """Evaluate a scan step by step."""
    constants, carried = interpreter.scan_counts(eqn)
    consts, carry = operands[:constants], operands[constants : constants + carried]
    steps = range(eqn.params["length"])
    stacked = []
    for step in reversed(steps) if eqn.params["reverse"] else steps:
        slices = [xs[step] for xs in operands[constants + carried :]]
        results = run(eqn.params["jaxpr"], [*consts, *carry, *slices])
        carry = results[:carried]
        stacked.append(results[carried:])
    if eqn.params["reverse"]:
        stacked.reverse()
    return [*carry, *(jax.numpy.stack(each) for each in zip(*stacked, strict=True))]
