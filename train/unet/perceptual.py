"""Distances of pictures in the features of a frozen classifier."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float

from fidojax.transforms import cpu

BLOCKS = (0, 2, 4, 10, 15)
"""The blocks of EfficientNet-Lite0 whose outputs are compared: the last of each size."""


def features_of(lite0: Any) -> Partial:
    """Return `features(images) -> list` of EfficientNet-Lite0.

    `fidojax.transforms.feature_pyramid` finds features of any network, but stops their gradients.

    Args:
        lite0: the classifier as `fidojax.networks.load` returns it.
    """
    return Partial(_features, *lite0.classifier.args)


def _features(graph: Any, params: Any, images: Float[Array, "n h w 3"]) -> list[Array]:
    network = nnx.merge(graph, params)
    x = network.stem((255 * images - 127) / 128)
    found = []
    for index, block in enumerate(network.blocks):
        x = block(x)
        if index in BLOCKS:
            found.append(x)
    return [*found, network.head(x)]


def distances(
    features: Partial, real: Float[Array, "n h w 3"], drawn: Float[Array, "n h w 3"]
) -> Float[Array, " layers"]:
    """Return the mean absolute difference of each layer, as a share of the real features' mean.

    The last layer is averaged over the picture, as the classifier does. Johnson et al. 2016
    (arXiv 1603.08155) introduced such losses.
    """
    fast = cpu.fast(features)
    wanted, found = jax.lax.stop_gradient(fast(real)), fast(drawn)
    pooled = [*wanted[:-1], wanted[-1].mean((1, 2))], [*found[:-1], found[-1].mean((1, 2))]
    return jnp.stack(
        [jnp.abs(a - b).mean() / jnp.abs(a).mean() for a, b in zip(*pooled, strict=True)]
    )
