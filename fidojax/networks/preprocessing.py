"""What is done to images in [0, 1] before a network sees them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""The mean of ImageNet's training pictures for each colour, in [0, 1]."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""The standard deviation of ImageNet's training pictures for each colour."""

Preprocess = Callable[[jax.Array], jax.Array]
"""From images "n h w c" in [0, 1] to what the network was trained on."""


def normalised(images: Float[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    """Return the images, less ImageNet's mean, over ImageNet's standard deviation."""
    return (images - jnp.asarray(IMAGENET_MEAN)) / jnp.asarray(IMAGENET_STD)


def pack(preprocess: Preprocess | None) -> Partial | None:
    """Return the function as a pytree, so that it may be part of a classifier."""
    return None if preprocess is None else Partial(preprocess)


def prepare(preprocess: Partial | None, images: Any) -> Any:
    """Return the images as the network takes them."""
    return images if preprocess is None else preprocess(images)
