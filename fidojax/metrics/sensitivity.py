"""Sensitivity: how far a method's map moves when the picture hardly does.

Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019 (arXiv 1901.09392).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import check_count, check_name, in_chunks
from fidojax.types import Classifier, Image, Method, PRNGKey, Scalar, Target


class Sensitivity(NamedTuple):
    """The sensitivity of a method around one picture; lower is steadier.

    Attributes:
        maximum: max-sensitivity, the largest of `moved`. NaN where a map is not finite, or where
            the distances are `relative` and the picture's own map is 0.
        mean: the mean of `moved`.
        lipschitz: the largest ratio between the distance of two maps and the distance of their
            pictures, in units of the map per brightness; the local Lipschitz constant.
        moved: "draws", the distance of each map from the picture's own map: a share of that map's
            length if `relative`, else in units of the map.
    """

    maximum: Scalar
    mean: Scalar
    lipschitz: Scalar
    moved: Float[Array, " draws"]


def sensitivity(
    key: PRNGKey,
    method: Method,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    radius: float | Scalar = 0.02,
    draws: int = 10,
    ball: str = "cube",
    relative: bool = True,
    together: int = 1,
    **options: Any,
) -> Sensitivity:
    """Max-sensitivity and the local Lipschitz constant of a method around one picture.

    Both are >= 0; lower is better. The largest change over `draws` random moves is a lower bound of
    the largest change over all moves. Every map is made with the same key, so that the method's own
    random draws do not count as sensitivity.

    Args:
        method: a function with the signature of those in `fidojax.methods.METHODS`.
        radius: radius of the moves, in brightness; the moved picture is not clipped.
        draws: number of moved pictures, each explained once.
        ball: distribution of the moves, a name in `BALLS`.
        relative: give distances of maps as shares of the length of the picture's own map.
        together: pictures that are explained at once, each with the method's own memory; changes
            no value.
        options: options of the method.

    Raises:
        ValueError: a name is unknown, or a count is below 1; and the errors of the method.

    Example:
        from fidojax.methods import gradient
        from fidojax.metrics import sensitivity

        found = sensitivity(key, gradient, classifier, image, target, draws=3)
        max_sensitivity = found.maximum

    Reference: Yeh et al. 2019, definition 3.1; Alvarez-Melis, Jaakkola, "On the Robustness of
    Interpretability Methods", 2018 (Lipschitz).
    """
    check_name("ball", ball, BALLS)
    check_count(draws=draws, together=together)
    method_key, move_key = jax.random.split(key)

    def explain(image):
        return method(method_key, classifier, image, target, **options).saliency

    def move(i):
        return BALLS[ball](jax.random.fold_in(move_key, i), image.shape, image.dtype, radius)

    own = explain(image)
    moved = in_chunks(
        jax.vmap(lambda i: jnp.linalg.norm(explain(image + move(i)) - own)), draws, together
    )
    way = in_chunks(jax.vmap(lambda i: jnp.linalg.norm(move(i))), draws, together)
    lipschitz = (moved / way).max()
    if relative:
        length = jnp.linalg.norm(own)
        moved = jnp.where(length > 0, moved / length, jnp.nan)
    return Sensitivity(moved.max(), moved.mean(), lipschitz, moved)


def _cube(key, shape, dtype, radius):
    return radius * jax.random.uniform(key, shape, dtype, -1, 1)


def _sphere(key, shape, dtype, radius):
    direction = jax.random.normal(key, shape, dtype)
    return radius * direction / jnp.linalg.norm(direction)


def _normal(key, shape, dtype, radius):
    return radius * jax.random.normal(key, shape, dtype)


BALLS: dict[str, Callable[..., Image]] = {"cube": _cube, "sphere": _sphere, "normal": _normal}
"""Where a move is drawn: with every value within the radius, at exactly this Euclidean distance, or
from a normal distribution with the radius as the standard deviation of every value."""
