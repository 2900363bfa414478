"""What is done to images in [0, 1] before a network of another framework sees them."""

from collections.abc import Callable

import jax
from jax.tree_util import Partial

Preprocess = Callable[[jax.Array], jax.Array]
"""From images "n h w c" in [0, 1] to what the network was trained on."""


def pack(preprocess: Preprocess | None) -> Partial | None:
    """The function as a pytree, so that it may be part of a classifier."""
    return None if preprocess is None else Partial(preprocess)


def prepare(preprocess: Partial | None, images: jax.Array) -> jax.Array:
    """The images as the network takes them."""
    return images if preprocess is None else preprocess(images)
