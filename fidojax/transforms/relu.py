"""Replace the backward pass of a function's ReLUs, wherever they are in its program.

    gradient = jax.grad(relu.with_relu(relu.guided, function))(image)

The program is traced and its ReLUs are recognised by what they compute, so that a network needs
no layer names: max(x, 0), `jax.nn.relu`, `jnp.where(x > 0, x, 0)`, a product with (x > 0), and the
lower bound of `jax.nn.relu6` and of `jnp.clip(x, 0, ...)`, also in jit, scan, cond, remat and in
functions with custom derivatives. A clamp that keeps the variance of a normalisation from falling
below 0 is none (`rectifiers`). Everything else keeps its gradient: the upper bound of relu6, leaky
and smooth activations, pooling.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import SCORES, as_classifier, check_target_of, logits_of
from fidojax.transforms import interpreter, rectifiers
from fidojax.transforms.rectifiers import EXPANDED, RECTIFIED
from fidojax.types import Classifier, Image, Scalar, Target


class RectifierInfo(NamedTuple):
    """The info of deconvnet and guided backprop.

    Attributes:
        gradient: "h w c", signed, before the maximum over channels.
        score: the score of the target on the image.
    """

    gradient: Float[Array, "h w c"]
    score: Scalar


@jax.custom_vjp
def deconvnet(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """ReLU whose backward pass rectifies the gradient and ignores the sign of the input."""
    return jnp.maximum(x, 0)


@jax.custom_vjp
def guided(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """ReLU whose backward pass passes positive gradients where the input was positive."""
    return jnp.maximum(x, 0)


deconvnet.defvjp(lambda x: (jnp.maximum(x, 0), None), lambda _, g: (jnp.maximum(g, 0),))
guided.defvjp(
    lambda x: (jnp.maximum(x, 0), x > 0),
    lambda active, g: (jnp.where(active, jnp.maximum(g, 0), 0),),
)


def score_gradient(
    relu: Callable, classifier: Classifier, image: Image, target: Target, score: str
) -> RectifierInfo:
    """Return the gradient of a class's score on the image, each ReLU replaced by `relu`."""
    check_target_of(classifier, image, target)
    return _score_gradient(relu, as_classifier(classifier, image.shape), image, target, score)


@partial(jax.jit, static_argnames=("relu", "score"))
def _score_gradient(relu, classifier, image, target, score):
    def evidence(image):
        return SCORES[score](logits_of(with_relu(relu, classifier), image[None])[0], target)

    value, gradient = jax.value_and_grad(evidence)(image)
    return RectifierInfo(gradient, value)


def with_relu(relu: Callable, function: Callable) -> Callable:
    """Return the same function with each ReLU of its program replaced by `relu`."""
    return partial(_evaluate, relu, function)


def _evaluate(relu, function, *arguments):
    # First every rectifier is marked; which of them are ReLUs is known when all are.
    marked = partial(_marked, function)
    traced, shape = jax.make_jaxpr(marked, return_shape=True)(*arguments)
    relus = rectifiers.relus(traced)
    if not relus:
        return function(*arguments)
    results = interpreter.run(_replacing(relu, relus), traced, jax.tree.leaves(arguments))
    return jax.tree.unflatten(jax.tree.structure(shape), results)


def _replacing(relu: Callable, relus: set[int]) -> interpreter.Rule:
    """The rule that evaluates a marked program with `relu` in place of the ReLUs."""

    def rule(eqn, *operands):
        if eqn.primitive is RECTIFIED:
            x, plain, *upper = operands
            if eqn.params["number"] not in relus:
                return [plain]
            return [jnp.minimum(relu(x), *upper) if upper else relu(x)]
        if eqn.primitive is EXPANDED:
            half = len(operands) // 2
            expanded = not relus.isdisjoint(eqn.params["numbers"])
            return list(operands[:half] if expanded else operands[half:])
        if eqn.primitive.name == "scan":
            return interpreter.scan(evaluate, eqn, list(operands))
        if eqn.primitive.name == "cond":
            return interpreter.cond(evaluate, eqn, list(operands))
        return interpreter.bind(eqn, *operands)

    evaluate = partial(interpreter.run, rule)
    return rule


def _marked(function, *arguments):
    """Evaluate a function with a mark at each rectifier, and without calls of other programs."""
    count = 0

    def rule(eqn, *operands):
        nonlocal count
        name = eqn.primitive.name
        x, *upper = _rectified(name, operands)
        if x is not None and jnp.issubdtype(x.dtype, jnp.floating):
            plain = interpreter.bind(eqn, *map(_plain, operands))[0]
            count += 1
            return [RECTIFIED.bind(x, plain, *upper, number=count)]
        if name in _SIGNS:
            return [_sign(eqn, *operands)]
        if name == "convert_element_type" and isinstance(operands[0], _Sign):
            return [operands[0]._replace(value=interpreter.bind(eqn, operands[0].value)[0])]
        inner, before = interpreter.body(eqn), count
        custom = name.startswith("custom_")
        if inner is not None and not (custom and _is_smooth_activation(inner)):
            results = interpreter.run(rule, inner, list(operands))
            if not custom:
                return results
            if count > before:
                plain = interpreter.bind(eqn, *map(_plain, operands))
                numbers = tuple(range(before + 1, count + 1))
                return EXPANDED.bind(*map(_plain, results), *plain, numbers=numbers)
        operands = [_plain(operand) for operand in operands]
        if name == "scan":
            return interpreter.scan(evaluate, eqn, operands)
        if name == "cond":
            return interpreter.cond(evaluate, eqn, operands)
        return interpreter.bind(eqn, *operands)

    def evaluate(closed, operands):
        return [_plain(result) for result in interpreter.run(rule, closed, operands)]

    results = interpreter.evaluate(rule, function, *arguments)
    return jax.tree.map(_plain, results, is_leaf=lambda x: isinstance(x, _Sign))


class _Sign(NamedTuple):
    """The mask of where `of` is positive (negative if not `positive`), as booleans or 0 and 1."""

    value: Any
    of: Any
    positive: bool


_SIGNS = {"gt": True, "ge": True, "lt": False, "le": False}


def _sign(eqn, left, right):
    value = interpreter.bind(eqn, _plain(left), _plain(right))[0]
    positive = _SIGNS[eqn.primitive.name]
    if interpreter.is_zero(right):
        return _Sign(value, left, positive)
    if interpreter.is_zero(left):
        return _Sign(value, right, not positive)
    return value


def _plain(value):
    return value.value if isinstance(value, _Sign) else value


def _rectified(name, operands):
    """Return the input of the rectifier that an operation computes and its upper bound, or None."""
    if name == "clamp" and interpreter.is_zero(operands[0]):
        return operands[1:]
    if name == "max":
        for x, bound in (operands, operands[::-1]):
            if interpreter.is_zero(bound) and not interpreter.is_zero(x):
                return (x,)
    if name == "mul":
        for x, sign in (operands, operands[::-1]):
            if isinstance(sign, _Sign) and sign.positive and sign.of is x:
                return (x,)
    if name == "select_n" and isinstance(operands[0], _Sign):
        sign, *cases = operands
        zero, x = cases if sign.positive else cases[::-1]
        if x is sign.of and interpreter.is_zero(zero):
            return (x,)
    return (None,)


def _is_smooth_activation(closed) -> bool:
    """Whether a maximum in the program is part of a smooth function, such as softplus."""
    names = interpreter.primitives(closed) - {"broadcast_in_dim"}
    return names <= interpreter.ELEMENTWISE and not names <= interpreter.PIECEWISE_LINEAR
