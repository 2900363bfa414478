"""The linear rule: how the parts of a difference pass convolutions, dense layers, and the rest.

Where the weights have signs, a part of the difference changes sides with them. What only moves or
adds elements keeps the parts apart: a bias, a folded or unfolded batch norm, a reshape or a
residual sum between a layer and its nonlinearity makes no difference.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fidojax.methods.deeplift.value import (
    DifferenceRule,
    Parts,
    Value,
    added,
    change,
    mean_of,
    reveal_of,
)
from fidojax.transforms import cpu, interpreter

WEIGHTED = {"conv_general_dilated": "conv", "dot_general": "dense"}
"""The kind of layer of each operation that has weights."""

MOVING = {
    "add", "add_any", "broadcast_in_dim", "concatenate", "cumsum", "dynamic_slice",
    "dynamic_update_slice", "expand_dims", "gather", "pad", "reduce_sum", "reduce_window_sum",
    "reshape", "rev", "scatter", "scatter-add", "select_n", "slice", "split", "squeeze", "stack",
    "sub", "tile", "transpose", "unstack",
}  # fmt: skip
"""The operations that add elements of their floating operands; `sub` also negates some."""


def weighted(rule: DifferenceRule, eqn, *operands: Any) -> list:
    """Evaluate a layer of a value and its weights, which come in either order.

    The weights may be a value as well, as in attention: each of the two then passes the mean of
    the other's values at the image and at the reference, which sums to the difference exactly.
    """

    def layer(x, weights, at):
        return cpu.bind(eqn, *((x, weights) if at == 0 else (weights, x)))[0]

    def split(value: Value, weights: Any, at: int) -> Parts:
        parts = value.parts
        if len(parts) == 1:
            return (layer(parts[0], weights, at),)
        positive, negative = jnp.maximum(weights, 0), jnp.minimum(weights, 0)
        # Sides are chosen by the sign of the whole difference, as the authors' code does.
        side = (1 + jnp.sign(change(value.image, value.reference))) / 2
        up, down = side * sum(parts), (1 - side) * sum(parts)
        return (
            layer(up, positive, at) + layer(down, negative, at),
            layer(up, negative, at) + layer(down, positive, at),
        )

    passed = [
        split(operand, mean_of(operands[1 - at]), at)
        for at, operand in enumerate(operands)
        if isinstance(operand, Value)
    ]
    image, reference = (
        cpu.bind(eqn, *(getattr(o, side) if isinstance(o, Value) else o for o in operands))[0]
        for side in ("image", "reference")
    )
    reveal = getattr(rule, WEIGHTED[eqn.primitive.name])
    return [Value(image, reference, added(*passed), reveal)]


def moved(eqn, *operands: Any) -> list:
    """Evaluate an operation of `MOVING`; its constant operands have no difference."""
    at = [i for i, operand in enumerate(operands) if isinstance(operand, Value)]
    values = [operands[i] for i in at]

    def layer(*xs):
        full = list(operands)
        for i, x in zip(at, xs, strict=True):
            full[i] = x
        return interpreter.bind(eqn, *full)

    def leaving(value: Value, i: int) -> Parts:
        # The operation itself subtracts.
        return value.parts[::-1] if eqn.primitive.name == "sub" and i == 1 else value.parts

    references = [value.reference for value in values]
    entering = zip(*(leaving(value, i) for value, i in zip(values, at, strict=True)), strict=True)
    parts = [jax.jvp(layer, references, list(tangents))[1] for tangents in entering]
    reveal = reveal_of(values)
    return [
        Value(image, reference, tuple(split), reveal)
        for image, reference, *split in zip(
            layer(*[value.image for value in values]), layer(*references), *parts, strict=True
        )
    ]
