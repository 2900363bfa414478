"""The activations of one layer, by its name, in networks of Flax NNX and Flax Linen.

The network runs with the calls of that layer intercepted: stopped after the first call to return
its output, or with that output replaced to return the logits that follow from it.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.tree_util import Partial

from fidojax.core import HasFeatures

Intercepted = Callable[..., Any]
"""`run(intercept, layer, *weights and the like, images) -> logits`: evaluate the network, but call
`intercept(call, *arguments)` wherever it would call the layer, `call(*arguments)`."""


@jax.tree_util.register_static
class Static:
    """A hashable object as a pytree without leaves: a part of the structure, not of the weights."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


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

    def tap(self, images: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return the layer's activations, and what makes logits of them."""
        logits = functools.partial(self.logits, self.classifier, images)
        return self.activations(self.classifier, images), logits


def tap_layer(classifier: Partial, run: Intercepted, layer: str) -> HasFeatures:
    """Return the classifier as one that shows this layer's activations.

    Args:
        run: takes the arguments of `classifier`; a function of a module, since it is compared.
    """
    static = Static((run, layer))
    return Tapped(classifier, Partial(_activations, static), Partial(_logits, static))


class _Reached(Exception):  # noqa: N818, not an error
    """Carries the layer's output out of the network's evaluation."""


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
    """Let `intercept` handle a submodule's calls; this changes the module, so pass a copy."""
    *path, name = layer.split(".")
    parent = functools.reduce(getattr, path, module)
    # Not by NNX's own __setattr__, which accepts no function in place of a module.
    object.__setattr__(parent, name, functools.partial(intercept, getattr(parent, name)))


def nnx_layers(module: Any) -> list[str]:
    """Return the names of all submodules, such as "blocks.5.conv1"."""
    from flax import nnx

    found = [(path, part) for path, part in nnx.iter_graph(module) if isinstance(part, nnx.Module)]
    return sorted(".".join(map(str, path)) for path, _ in found if path)
