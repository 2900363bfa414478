"""Rewrite a classifier for XLA's CPU backend, where it is then several times faster to explain.

    explanation = fido(key, cpu.fast(classifier), image, target, infill=infill)

XLA:CPU has no good path for depthwise convolutions, for gradients of maximum pooling, for kernels
larger than their input, and for gradients of convolutions inside loops. `fast` traces the
classifier and replaces these operations by their equivalents in `transforms.cpu.convolution`;
benchmarks/RESULTS.md has the figures.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from fidojax.core import Transformed
from fidojax.transforms import interpreter
from fidojax.transforms.cpu import convolution
from fidojax.types import Classifier


def fast(classifier: Classifier) -> Classifier:
    """Return the classifier rewritten for the CPU; on other devices it is evaluated unchanged.

    The result is a callable pytree with the classifier's weights as its leaves: new weights do not
    retrace, and it supports jit, vmap, grad and scan, but no forward-mode derivatives. Logits and
    gradients agree with the classifier's up to rounding; a unit within rounding of a kink may fall
    on the other side, as between two compilers.

    Convolutions over two axes are rewritten everywhere except inside the classifier's own loops and
    branches and inside functions with custom derivatives. A rewritten classifier is returned as is.
    """
    if isinstance(classifier, Transformed) and classifier.transform is rewritten:
        return classifier
    return Transformed(classifier, rewritten)


def rewritten(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the same function by operations that are fast on the CPU: the transform of `fast`."""
    return functools.partial(_call, function)


def _call(function, inputs):
    return _evaluate(function, inputs) if _on_cpu() else function(inputs)


def _on_cpu() -> bool:
    device = getattr(jax.config, "jax_default_device")  # noqa: B009, its type is not declared
    platform = device if isinstance(device, str) else getattr(device, "platform", None)
    return (platform or jax.default_backend()) == "cpu"


@jax.jit
def _evaluate(function, inputs):
    return interpreter.evaluate(_rule, function, inputs)


def bind(eqn: core.JaxprEqn, *operands: Any) -> list:
    """Evaluate one operation of a traced program, rewritten if `fast` would rewrite it."""
    return _rule(eqn, *operands) if _on_cpu() else interpreter.bind(eqn, *operands)


def _rule(eqn: core.JaxprEqn, *operands: Any) -> list:
    """Evaluate an operation by its rewriting in `REWRITINGS`, if one applies."""
    rewrite = REWRITINGS.get(eqn.primitive.name)
    results = rewrite(eqn.params, *operands) if rewrite else None
    return interpreter.bind(eqn, *operands) if results is None else results


def _inner(params: dict, *operands):
    return interpreter.run(_rule, params["jaxpr"], list(operands))


def _conv(params: dict, x: Any, kernel: Any) -> list | None:
    numbers = params["dimension_numbers"]
    groups = params["feature_group_count"]
    if (
        x.ndim != 4
        or params["batch_group_count"] != 1
        or not _ones(params["lhs_dilation"], params["rhs_dilation"])
        or not x.dtype == kernel.dtype == (params["preferred_element_type"] or x.dtype)
        or not jnp.issubdtype(x.dtype, jnp.floating)
    ):
        return None
    batch, feature, *space = numbers.lhs_spec
    image = x.transpose(batch, *space, feature)
    out, inner, *space = numbers.rhs_spec
    taps = kernel.transpose(*space, inner, out)
    strides, pads = tuple(params["window_strides"]), _pairs(params["padding"])
    y: Any
    if groups == 1:
        y = _shared_conv(image, taps, strides, pads)
    elif groups == image.shape[3] == taps.shape[3]:
        y = _shared_depthwise(image, taps[:, :, 0], strides, pads)
    else:
        return None
    batch, feature, *space = numbers.out_spec
    order = (batch, *space, feature)
    return [y.transpose([order.index(axis) for axis in range(4)])]


# A network has many convolutions of few shapes: each shape is traced and differentiated once.
_shared_conv = jax.jit(convolution.conv, static_argnums=(2, 3))
_shared_depthwise = jax.jit(convolution.depthwise, static_argnums=(2, 3))


def _max_pool(params: dict, x):
    window, strides = params["window_dimensions"], params["window_strides"]
    pads = _pairs(params["padding"])
    if (
        x.ndim != 4
        or not _ones(params["base_dilation"], params["window_dilation"])
        or not jnp.issubdtype(x.dtype, jnp.floating)
    ):
        return None
    # The two axes over which the window runs go to the middle.
    space = [axis for axis in range(4) if window[axis] > 1 or strides[axis] > 1 or any(pads[axis])]
    if len(space) > 2:
        return None
    space += [axis for axis in (1, 2, 0, 3) if axis not in space][: 2 - len(space)]
    first, last = (axis for axis in range(4) if axis not in space)
    order = (first, *sorted(space), last)
    middle = order[1:3]
    y = convolution.max_pool(
        x.transpose(order),
        tuple(window[axis] for axis in middle),
        tuple(strides[axis] for axis in middle),
        tuple(pads[axis] for axis in middle),
    )
    return [y.transpose([order.index(axis) for axis in range(4)])]


def _pairs(pads) -> Any:
    return tuple((int(low), int(high)) for low, high in pads)


def _ones(*dilations) -> bool:
    return all(d == 1 for dilation in dilations for d in dilation)


REWRITINGS: dict[str, Callable] = {
    "conv_general_dilated": _conv,
    "reduce_window_max": _max_pool,
    "jit": _inner,
    "pjit": _inner,
    "closed_call": lambda params, *operands: _inner({"jaxpr": params["call_jaxpr"]}, *operands),
}
"""The name of an operation -> rewriting(params, *operands): a list of results, or None."""
