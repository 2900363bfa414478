"""The activations of one layer, by its name, in networks of Flax NNX, Flax Linen and Keras.

A network of Flax is run with the calls of that layer intercepted: stopped after the first one to
have its output, or with that output replaced to have the logits that follow from it. A network of
Keras is a graph, which is cut there.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.tree_util import Partial

from fidojax.core import Tapped

Evaluate = Callable[..., Any]
"""`run(intercept, layer, *weights and the like, images) -> logits`: evaluate the network, but call
`intercept(call, *arguments)` wherever it would call the layer, `call(*arguments)`."""


@jax.tree_util.register_static
class Static:
    """A hashable object as a pytree without leaves: part of the structure, not of the weights."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


def tapped(classifier: Partial, run: Evaluate, layer: str) -> Tapped:
    """The classifier with that layer's activations to be had.

    `run` takes the arguments of `classifier` and is a function of a module, since it is compared.
    """
    static = Static((run, layer))
    return Tapped(classifier, Partial(_activations, static), Partial(_logits, static))


class _Reached(Exception):  # noqa: N818, it is no error
    """Carries the layer's output out of the network."""


def _activations(static, classifier, images):
    run, layer = static.value

    def stop(call, *args, **kwargs):
        raise _Reached(call(*args, **kwargs))

    try:
        run(stop, layer, *classifier.args, images)
    except _Reached as reached:
        return reached.args[0]
    raise ValueError(f"layer: the network has no layer {layer!r}, or never calls it")


def _logits(static, classifier, images, activations):
    run, layer = static.value
    given = [activations]

    def replace(call, *args, **kwargs):
        return given.pop() if given else call(*args, **kwargs)

    return run(replace, layer, *classifier.args, images)


def intercept_nnx(module: Any, layer: str, intercept: Callable) -> None:
    """Put `intercept` in the way of a submodule's calls; the module is changed, so pass a copy."""
    *path, name = layer.split(".")
    parent = functools.reduce(getattr, path, module)
    # Past NNX's own __setattr__, which takes no function where a module was.
    object.__setattr__(parent, name, functools.partial(intercept, getattr(parent, name)))


def nnx_layers(module: Any) -> list[str]:
    """The names of all submodules, "blocks.5.conv1"."""
    from flax import nnx

    found = [(path, part) for path, part in nnx.iter_graph(module) if isinstance(part, nnx.Module)]
    return sorted(".".join(map(str, path)) for path, _ in found if path)
