"""The activations of one layer, by its name, in networks of Flax, Keras and Equinox.

The network's program is traced with the layer's output marked. It is then evaluated operation by
operation: up to the mark, which gives the activations, or with the marked value replaced, which
gives the logits that follow. So a layer is reached wherever it is called: in submodules and nested
models, and inside `jit`, `remat`, `vmap` and `scan`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core
from jax.tree_util import Partial

from fidojax.core import HasFeatures
from fidojax.transforms import interpreter

Marked = Callable[..., Any]
"""`run(name, *weights and the like, images) -> logits`: evaluate the network, and let `mark` see
each output of the layer of that name."""


@jax.tree_util.register_static
class Static:
    """A hashable object as a pytree without leaves: a part of the structure, not of the weights."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        text = repr(self.value)
        return text if len(text) <= 30 and " at 0x" not in text else type(self.value).__name__


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Tapped:
    """A classifier that is evaluated as a whole and shows one layer's activations when asked.

    It holds the weights once, so that its leaves are those of `classifier`.

    Attributes:
        classifier: the whole.
        activations: `activations(classifier, images)`, the layer's output; a pytree without leaves.
        logits: `logits(classifier, images, activations)`, the same network with the layer's output
            given; a pytree without leaves.
    """

    classifier: Partial
    activations: Partial
    logits: Partial

    def __call__(self, images: Any) -> Any:
        """Return the logits."""
        return self.classifier(images)

    def __repr__(self) -> str:
        return f"{self.classifier!r} with features"

    def tap(self, images: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return the layer's activations, and what makes logits of them."""
        logits = functools.partial(self.logits, self.classifier, images)
        return self.activations(self.classifier, images), logits


class Layer(NamedTuple):
    """A layer of a network.

    Attributes:
        name: its dotted name.
        call: which of its calls is meant, counted from 0.
        channels_first: whether its pictures are "n c h w".
    """

    name: str
    call: int = 0
    channels_first: bool = False


def parse_layer(layer: str) -> Layer:
    """Return the layer that "blocks.conv" names, or with the number of a call "blocks.conv:3"."""
    name, colon, call = layer.rpartition(":")
    return Layer(name, int(call)) if colon and call.isdecimal() else Layer(layer)


def tap_layer(classifier: Partial, run: Marked, layer: Layer) -> HasFeatures:
    """Return the classifier as one that shows this layer's activations.

    Args:
        run: takes the arguments of `classifier`; a function of a module, since it is compared.
    """
    static = Static((run, layer))
    return Tapped(classifier, Partial(_activations, static), Partial(_logits, static))


_MARK = "fidojax layer"


@jax.custom_batching.custom_vmap
def _mark(x: Any) -> Any:
    return checkpoint_name(x, _MARK)


@_mark.def_vmap
def _mark_batch(size: int, batched: list[bool], x: Any) -> tuple[Any, bool]:
    del size  # the images are the first axis then
    return _mark(x), batched[0]


def mark(output: Any) -> Any:
    """Return a layer's output, its first array marked."""
    leaves, structure = jax.tree.flatten(output)
    return jax.tree.unflatten(structure, [_mark(jnp.asarray(leaves[0])), *leaves[1:]])


class _Reached(Exception):  # noqa: N818, not an error
    """Carries the layer's output out of the network's evaluation."""


def _activations(static, classifier, images):
    run, layer = static.value
    calls = 0

    def stop(value):
        nonlocal calls
        calls += 1
        if calls > layer.call:
            raise _Reached(value)
        return value

    try:
        _evaluate(stop, run, layer, classifier, images)
    except _Reached as reached:
        value = reached.args[0]
        first = layer.channels_first and value.ndim == 4
        return jnp.moveaxis(value, 1, -1) if first else value
    if calls:
        raise ValueError(
            f"layer: the network calls {layer.name!r} {calls} times, counted from 0; there is no"
            f" call {layer.call}"
        )
    raise ValueError(
        f"layer: the network has no layer {layer.name!r}, or never calls it; where it is called by"
        " its class, as Block.__call__(block, x), name a layer inside it"
    )


def _logits(static, classifier, images, activations):
    run, layer = static.value
    calls = 0

    def replace(value):
        nonlocal calls
        calls += 1
        if calls != layer.call + 1:
            return value
        first = layer.channels_first and value.ndim == 4
        return jnp.moveaxis(activations, -1, 1) if first else activations

    return _evaluate(replace, run, layer, classifier, images)


def _evaluate(at_mark: Callable, run: Marked, layer: Layer, classifier: Partial, images: Any):
    """Evaluate the network with `at_mark(value)` for the layer's outputs.

    What holds no mark is evaluated as it is. The mark's own surroundings are taken apart, since a
    value from inside a loop's body is none outside of it.
    """

    def rule(eqn, *operands):
        if _is_mark(eqn):
            return [at_mark(operands[0])]
        if not any(map(_holds_mark, _programs(eqn))):
            return interpreter.bind(eqn, *operands)
        if eqn.primitive.name == "scan":
            return _unrolled(rule, eqn, list(operands))
        inner = eqn.params["call"] if "call" in eqn.params else interpreter.body(eqn)
        if inner is None:
            raise ValueError(
                f"layer: the network calls {layer.name!r} inside a {eqn.primitive.name}, where its"
                " output cannot be taken; name a layer around it"
            )
        return interpreter.run(rule, inner, list(operands))

    return interpreter.evaluate(
        rule, lambda args, images: run(layer.name, *args, images), classifier.args, images
    )


def _is_mark(eqn: core.JaxprEqn) -> bool:
    return eqn.primitive.name == "name" and eqn.params["name"] == _MARK


def _programs(eqn: core.JaxprEqn) -> list[core.Jaxpr]:
    """Return the programs that an operation has for parameters."""
    found = jax.tree.leaves(
        list(eqn.params.values()),
        is_leaf=lambda x: isinstance(x, core.ClosedJaxpr | core.Jaxpr),
    )
    closed = [x.jaxpr if isinstance(x, core.ClosedJaxpr) else x for x in found]
    return [x for x in closed if isinstance(x, core.Jaxpr)]


def _holds_mark(jaxpr: core.Jaxpr) -> bool:
    return any(_is_mark(eqn) or any(map(_holds_mark, _programs(eqn))) for eqn in jaxpr.eqns)


def _unrolled(rule: interpreter.Rule, eqn: core.JaxprEqn, operands: list) -> list:
    """Evaluate a `jax.lax.scan` step by step."""
    constants, carried = interpreter.scan_counts(eqn)
    consts, carry = operands[:constants], operands[constants : constants + carried]
    xs, length = operands[constants + carried :], eqn.params["length"]
    stacked: list = [None] * length
    for i in reversed(range(length)) if eqn.params["reverse"] else range(length):
        step = [*consts, *carry, *(x[i] for x in xs)]
        results = interpreter.run(rule, eqn.params["jaxpr"], step)
        carry, stacked[i] = results[:carried], results[carried:]
    return [*carry, *(jnp.stack(y) for y in zip(*stacked, strict=True))]


@functools.cache
def marking(cls: type) -> type:
    """Return the subclass of a module's class whose calls mark their output."""

    @functools.wraps(cls.__call__)
    def __call__(self, *args, **kwargs):  # noqa: N807
        return mark(cls.__call__(self, *args, **kwargs))

    body = {"__call__": __call__, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls)(cls.__name__, (cls,), body)


def mark_module(part: Any) -> None:
    """Let a module mark its output; this changes the module, so pass a part of a copy."""
    # Not by the frameworks' own __setattr__, which refuse or record it.
    object.__setattr__(part, "__class__", marking(type(part)))


def nnx_layers(module: Any) -> dict[str, Any]:
    """Return the submodules that can be called by their names, such as "blocks.5.conv1"."""
    from flax import nnx

    return {
        ".".join(map(str, path)): part
        for path, part in nnx.iter_graph(module)
        if path and isinstance(part, nnx.Module) and callable(part)
    }


def equinox_layers(module: Any) -> dict[str, Any]:
    """Return the submodules that can be called by their names, such as "blocks.5.conv1"."""
    import equinox

    if isinstance(module, equinox.Module):
        inside = {
            field.name: getattr(module, field.name, None) for field in dataclasses.fields(module)
        }
    elif isinstance(module, list | tuple):
        inside = {str(i): part for i, part in enumerate(module)}
    else:
        inside = {str(k): v for k, v in module.items()} if isinstance(module, dict) else {}
    found = {}
    for name, part in inside.items():
        if isinstance(part, equinox.Module) and callable(part):
            found[name] = part
        found |= {f"{name}.{inner}": layer for inner, layer in equinox_layers(part).items()}
    return found
