"""How often a method asks its classifier: counted while it runs, not derived on paper."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.tree_util import Partial

from fidojax.core import Split
from fidojax.methods import method_row


class Passes(NamedTuple):
    """Pictures that went through the classifier for one map.

    Attributes:
        forward: forward passes.
        backward: how many of those were followed by a backward pass.
    """

    forward: int
    backward: int


def passes_per_map(
    method: str, options: Mapping[str, Any], shape: tuple[int, int, int], classes: int
) -> Passes:
    """The passes of a method of the library: its row or its loop tells, or they are counted."""
    row = method_row(method)
    known, maker = row.known_passes(options), row.loop
    if known is None and maker is not None:
        loop = maker(**options)
        return Passes(loop.steps * loop.evaluations, loop.steps * loop.evaluations)
    return count_passes(method, options, shape, classes)


def count_passes(
    method: str, options: Mapping[str, Any], shape: tuple[int, int, int], classes: int
) -> Passes:
    """Run the method once on a toy classifier that counts what it is shown.

    Methods whose row in the table says their passes are not run.
    """
    row = method_row(method)
    known = row.known_passes(options)
    if known is not None:
        return Passes(*known)
    seen: Counter[str] = Counter()
    weights = jax.random.normal(jax.random.key(0), (shape[2], classes))
    # In parts for Grad-CAM; a new function each time, so no program compiled before is used.
    toy = Split(Partial(partial(_features, seen)), Partial(_head, weights))
    image = jax.random.uniform(jax.random.key(1), shape)
    explained = row.function(jax.random.key(2), toy, image, 0, **options)
    jax.block_until_ready(explained.saliency)
    jax.effects_barrier()
    return Passes(seen["forward"], seen["backward"])


def _features(seen: Counter[str], images: Any) -> Any:
    return jax.nn.relu(_watched(seen)(images))


def _head(weights: Any, features: Any) -> Any:
    return features.mean((1, 2)) @ weights


def _watched(seen: Counter[str]) -> Any:
    """The identity; every picture that passes it, forth or back, is counted."""

    def note(direction: str, pictures: Any) -> None:
        # The argument makes a vmapped callback run once per element.
        jax.debug.callback(lambda _: seen.update({direction: len(pictures)}), pictures.sum())

    @jax.custom_vjp
    def identity(images):
        note("forward", images)
        return images

    def forward(images):
        note("forward", images)
        return images, None

    def backward(_, gradient):
        note("backward", gradient)
        return (gradient,)

    identity.defvjp(forward, backward)
    return identity
