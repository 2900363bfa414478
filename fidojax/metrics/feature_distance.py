"""The distance of two pictures in the features of a network."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.types import Scalar


def feature_distance(
    ours: Sequence[Float[Array, "_ _ _"]], theirs: Sequence[Float[Array, "_ _ _"]]
) -> Scalar:
    """The distance of two pictures by the activations of several layers; lower is more alike.

    At each place of a layer the channels are scaled to length 1, and the squared distances are
    averaged over the places; the layers are added up. Where no activation is negative, a layer's
    distance is in [0, 2]. A place without any activation has length 0.

    The paper's LPIPS weighs the channels by what people find alike; here all weights are 1, so that
    any network will do. Its published layers are the last activations of each resolution, which
    `fidojax.transforms.feature_pyramid` returns.

    Args:
        ours, theirs: "rows columns channels" of each layer, the same shapes on both sides.

    Raises:
        ValueError: there is no layer, or the shapes differ.

    Reference: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep
    Features as a Perceptual Metric", CVPR 2018 (arXiv 1801.03924), equation 1.

    Example:
        from fidojax.metrics import feature_distance
        from fidojax.transforms import feature_pyramid

        layers = feature_pyramid.features(classifier, jnp.stack([image, image**2]))
        found = feature_distance([each[0] for each in layers], [each[1] for each in layers])
    """
    shapes = [[layer.shape for layer in side] for side in (ours, theirs)]
    if not shapes[0] or shapes[0] != shapes[1]:
        raise ValueError(f"layers have shapes {shapes[0]} and {shapes[1]}, expected equal ones")
    layers = [
        jnp.mean(jnp.sum((_of_length_1(a) - _of_length_1(b)) ** 2, axis=-1))
        for a, b in zip(ours, theirs, strict=True)
    ]
    return jnp.sum(jnp.stack(layers))


def _of_length_1(layer: Float[Array, "rows columns c"]) -> Float[Array, "rows columns c"]:
    return layer / (jnp.linalg.norm(layer, axis=-1, keepdims=True) + 1e-10)
