"""What Grad-CAM and its kin share: a layer's features, the gradient to them, and the map."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import SCORES, check_name, checked_output, require_features, widened
from fidojax.types import Classifier, Explanation, Image, Saliency, Scalar, Target

INTERPOLATIONS = ("bilinear", "nearest", "cubic")

Features = Float[Array, "rows columns channels"]
Coarse = Float[Array, "rows columns"]
Grid = tuple[int, int]
"""(rows, columns) of a transformer's patches."""


class CamInfo(NamedTuple):
    """The further results of Grad-CAM and its kin.

    Attributes:
        coarse: "rows columns", >= 0, the map at the resolution of the features.
        weights: what the features are multiplied by: "channels" where a channel has one weight, as
            in Grad-CAM (the mean over places of the gradient of the score to each feature), else
            "rows columns channels".
        activations: "rows columns channels", the features of the image.
        score: the score that is explained, on the image.
    """

    coarse: Coarse
    weights: Float[Array, "*places channels"]
    activations: Features
    score: Scalar


def class_activation(
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    weigh: Callable[[Features, Features], Float[Array, "*places channels"]],
    interpolation: str = "bilinear",
    score: str = "logit",
    grid: Grid | None = None,
) -> Explanation:
    """Return the rectified sum over the channels of the features times their weights.

    Args:
        weigh: (features, gradients of the score to them) -> weights, per channel or per place and
            channel.
        interpolation, score, grid: as `fidojax.grad_cam` takes them.
    """
    check_name("interpolation", interpolation, INTERPOLATIONS)
    check_name("score", score, SCORES)
    features, rest = require_features(classifier).tap(image[None])
    patches = widened(_places(features, grid))

    def explained(patches):
        whole = _replaced(features, patches.astype(features.dtype))
        return SCORES[score](checked_output(rest(whole), 1)[0], target)

    value, gradients = jax.value_and_grad(explained)(patches)
    weights = weigh(patches, gradients)
    sums = "ijk,k->ij" if weights.ndim == 1 else "ijk,ijk->ij"
    coarse = jax.nn.relu(jnp.einsum(sums, patches, weights))
    return Explanation(
        resize(coarse, image.shape, interpolation), CamInfo(coarse, weights, patches, value)
    )


def resize(coarse: Coarse, shape: tuple[int, ...], interpolation: str) -> Saliency:
    """Return a map interpolated to the first two sides of `shape`."""
    return jax.image.resize(coarse, shape[:2], interpolation, antialias=False)


def patch_grid(tokens: int, grid: Grid | None = None) -> tuple[Grid, int]:
    """Return the (rows, columns) of a transformer's patches, and the number of tokens before them.

    Args:
        tokens: number of tokens.
        grid: (rows, columns); when None, the square that the tokens make, with or without one
            token for the class.

    Raises:
        ValueError: the tokens make no square, or are fewer than the grid has places.
    """
    if grid is not None:
        before = tokens - math.prod(grid)
        if len(grid) != 2 or min(grid) < 1 or before < 0:
            raise ValueError(
                f"grid is {grid}, expected (rows, columns) of at most {tokens} tokens in all"
            )
        return grid, before
    for before in (0, 1):
        side = math.isqrt(tokens - before)
        if side**2 == tokens - before:
            return (side, side), before
    raise ValueError(
        f"classifier: its {tokens} tokens are no square, with or without one for the class; give"
        " the patches as grid=(rows, columns)"
    )


def _places(features: Float[Array, "..."], grid: Grid | None) -> Features:
    """Return one picture's features as a grid, without the tokens before those of the patches."""
    if features.ndim == 3:
        (rows, columns), before = patch_grid(features.shape[1], grid)
        return features[0, before:].reshape(rows, columns, -1)
    if features.ndim != 4:
        raise ValueError(
            f"classifier: its features have shape {features.shape}, expected (n, rows, columns,"
            " channels), or (n, tokens, channels) of a transformer"
        )
    return features[0]


def _replaced(features: Float[Array, "..."], patches: Features) -> Float[Array, "..."]:
    """Return the features with those of the patches replaced."""
    if features.ndim == 4:
        return patches[None]
    flat = patches.reshape(1, -1, patches.shape[-1])
    return jnp.concatenate([features[:, : features.shape[1] - flat.shape[1]], flat], axis=1)
