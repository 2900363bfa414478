"""How often a method asks its classifier: counted while it runs, not derived on paper."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.tree_util import Partial

from fidojax.methods import METHODS


class Passes(NamedTuple):
    """Pictures that went through the classifier for one map.

    Attributes:
        forward: forward passes.
        backward: how many of those were followed by a backward pass.
    """

    forward: int
    backward: int


def count_passes(
    method: str, options: Mapping[str, Any], shape: tuple[int, int, int], classes: int
) -> Passes:
    """Runs the method once on a toy classifier that counts what it is shown.

    DeepLIFT reads the classifier's program instead of calling it: image and reference go forward
    and one gradient back; RevealCancel runs each kernel's positive and negative part, too.
    """
    if method == "deeplift":
        return Passes(2, 1) if options.get("rule") == "rescale" else Passes(6, 4)
    seen: Counter[str] = Counter()
    jax.clear_caches()  # a compiled program of another run would count there
    toy = Partial(partial(_toy, seen), jax.random.normal(jax.random.key(0), (shape[2], classes)))
    image = jax.random.uniform(jax.random.key(1), shape)
    explained = METHODS[method](jax.random.key(2), toy, image, 0, **options)
    jax.block_until_ready(explained.saliency)
    jax.effects_barrier()
    return Passes(seen["forward"], seen["backward"])


def _toy(seen: Counter[str], weights: Any, images: Any) -> Any:
    return jax.nn.relu(_watched(seen)(images)).mean((1, 2)) @ weights


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
