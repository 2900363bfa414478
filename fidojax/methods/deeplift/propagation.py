"""The rule of each operation; an operation without a rule raises ValueError with its name."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.methods.deeplift import control, linear, pooling, product
from fidojax.methods.deeplift.linear import WEIGHTED
from fidojax.methods.deeplift.tally import Tally
from fidojax.methods.deeplift.value import DifferenceRule, Value, change
from fidojax.transforms import interpreter
from fidojax.types import Image, Scalar

RULES = {
    "reveal_cancel": {"conv", "dense"},
    "rescale": set(),
    "genomics_default": {"dense"},
}
"""The authors' name of a rule -> the layers whose nonlinearities take RevealCancel."""


class Contributions(NamedTuple):
    """The contributions of the inputs to the difference of a function's results.

    Attributes:
        attribution: "h w c", the contribution of each input; their sum is image - reference.
        multiplier: "h w c", per unit of the input's difference.
        image: the function's result at the image.
        reference: the function's result at the reference.
        rescaled: the share of the elements of nonlinearities under RevealCancel at which it is
            undefined, so that Rescale stands in; 0 where none takes RevealCancel.
    """

    attribution: Float[Array, "h w c"]
    multiplier: Float[Array, "h w c"]
    image: Scalar
    reference: Scalar
    rescaled: Scalar


def contributions(
    rule: str,
    function: Callable[[Image], Any],
    image: Image,
    reference: Image,
    score: Callable[[Any], Scalar] = lambda result: result,
) -> Contributions:
    """Return DeepLIFT's contributions to the difference of `score(function(image))`.

    The score, which is no layer of the network, takes the Rescale rule: a softmax's exponentials
    of one part alone would overflow.

    Raises:
        ValueError: the program has an operation without a rule.
    """
    whole = change(image, reference)
    entering = (whole,)
    if RULES[rule]:
        entering = (jnp.maximum(whole, 0), jnp.minimum(whole, 0))

    def leaving(parts):
        tally = Tally()
        layers = DifferenceRule(
            **{k: tally if k in RULES[rule] else None for k in WEIGHTED.values()}
        )
        result = _through(function, layers, tally, Value(image, reference, parts, layers.conv))
        if isinstance(result, Value):
            result = Value(result.image, result.reference, result.parts)
            result = _through(score, DifferenceRule(None, None), tally, result)
        counts = tally.sum()
        rescaled = counts.undefined / jnp.maximum(counts.total, 1)
        if not isinstance(result, Value):
            return 0 * sum(map(jnp.sum, parts)), (score(result), score(result), rescaled)
        return sum(result.parts), (result.image, result.reference, rescaled)

    multipliers, results = jax.grad(leaving, has_aux=True)(
        entering
    )  # Shrikumar et al.: the chain rule
    side = (1 + jnp.sign(whole)) / 2
    multiplier = side * multipliers[0] + (1 - side) * multipliers[-1]
    return Contributions(multiplier * whole, multiplier, *results)


def _through(function: Callable, rule: DifferenceRule, tally: Tally, value: Value) -> Any:
    traced = jax.make_jaxpr(function)(value.image)
    return interpreter.run(_propagation(rule, tally, len(value.parts)), traced, [value])[0]


def _propagation(rule: DifferenceRule, tally: Tally, parts: int) -> interpreter.Rule:
    def propagate(eqn, *operands):
        name = eqn.primitive.name
        values = [operand for operand in operands if isinstance(operand, Value)]
        if not values:
            return interpreter.bind(eqn, *operands)
        inner = interpreter.body(eqn)
        if inner is not None:
            return interpreter.run(propagate, inner, list(operands))
        if name in interpreter.ELEMENTWISE:
            shape = eqn.outvars[0].aval.shape
            operands = [_broadcast(propagate, operand, shape) for operand in operands]
            if _one_root([operand for operand in operands if isinstance(operand, Value)]):
                return [_elementwise(eqn, operands)]
        if name in WEIGHTED:
            return linear.weighted(rule, eqn, *operands)
        if name in linear.MOVING and all(map(_floating, values)):
            return linear.moved(eqn, *operands)
        if name == "mul":
            return product.product(*operands)
        if name in product.REWRITTEN:
            return interpreter.run(propagate, product.rewritten(name, *operands), list(operands))
        if name in pooling.EXTREMES:
            return pooling.extreme(eqn, values[0])
        if name == "scan":
            return control.scan(propagate, tally, eqn, list(operands), parts)
        if name == "cond" and operands[0] is not values[0]:
            return control.cond(propagate, tally, eqn, list(operands), parts)
        several = " of several values" if len(values) > 1 else ""
        how = "that depend" if several else "of a value that depends"
        raise ValueError(f"DeepLIFT has no rule for {name!r}{several} {how} on the image")

    return propagate


def _floating(value: Value) -> bool:
    return jnp.issubdtype(value.image.dtype, jnp.floating)


def _broadcast(rule: interpreter.Rule, operand: Any, shape: tuple[int, ...]) -> Any:
    """Return a value in the shape of the result, to which operations may broadcast it."""
    if not isinstance(operand, Value) or operand.image.shape == shape:
        return operand
    traced = jax.make_jaxpr(lambda x: jnp.broadcast_to(x, shape))(operand.image)
    return interpreter.run(rule, traced, [operand])[0]


def _one_root(values: list[Value]) -> bool:
    return all(value.root is values[0].root for value in values)


def _elementwise(eqn, operands: Sequence) -> Value:
    """One more step of an elementwise function of a value."""
    name = eqn.primitive.name

    def operation(*xs: Any) -> Any:
        if name == "stop_gradient":
            return xs[0]  # its value passes, and so does its difference
        zeros = [interpreter.is_zero(x) for x in xs]
        if name == "max" and any(zeros):
            return jax.nn.relu(xs[zeros[0]])  # slope 0 at 0, however the ReLU is spelt
        return interpreter.bind(eqn, *xs)[0]

    values = [operand for operand in operands if isinstance(operand, Value)]
    image, reference = (
        operation(*[getattr(o, side) if isinstance(o, Value) else o for o in operands])
        for side in ("image", "reference")
    )
    return Value(
        image,
        reference,
        of=values[0].root,
        operation=operation,
        operands=tuple(operands),
        affine=_affine(name, operands) and all(v.affine and _floating(v) for v in values),
    )


def _affine(name: str, operands: Sequence) -> bool:
    """Whether an operation is affine in those of its operands that are values."""
    depends = [isinstance(operand, Value) for operand in operands]
    if name == "mul":
        return not all(depends)
    if name == "div":
        return not depends[1]
    if name == "select_n":
        return not depends[0]
    return name in {
        "add", "add_any", "convert_element_type", "copy", "copy_p", "neg", "reduce_precision",
        "stop_gradient", "sub",
    }  # fmt: skip
