"""What I-GOS and iGOS++ minimise: scores of mixtures under masks, and a penalty of the masks.

A mask here is 1 where a picture shows its first ingredient and 0 where it shows the second. The
path of a mask leads from the second ingredient alone to the mixture: its points are the mixtures
under the shares 1/S, 2/S, ..., 1 of the mask.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import SCORES, in_chunks, logits_of, mix
from fidojax.methods.attribution import gradients
from fidojax.types import Classifier, Images, PRNGKey, Scalar, Target

Masks = Float[Array, "... rows columns"]
"""The optimised masks of a method in one array."""


class Problem(NamedTuple):
    """The value that a method minimises: weights @ scores(mixtures) + penalty.

    Attributes:
        build: optimised masks -> the terms' masks "terms h w".
        ones: "terms h w c", what each term's mixture shows where its mask is 1.
        zeros: "terms h w c", what it shows where its mask is 0.
        weights: "terms", positive where the score is to fall, negative where it is to rise.
        penalty: optimised masks -> the regularisers.
        score: a name in `fidojax.core.scores.SCORES`.
        chunk: pictures that the classifier sees at once.
    """

    build: Callable[[Masks], Float[Array, "terms h w"]]
    ones: Images
    zeros: Images
    weights: Float[Array, " terms"]
    penalty: Callable[[Masks], Scalar]
    score: str
    chunk: int


def descent_direction(
    problem: Problem,
    key: PRNGKey,
    classifier: Classifier,
    target: Target,
    masks: Masks,
    points: int,
    noise: float | Scalar,
) -> tuple[Masks, Float[Array, " terms"], Scalar]:
    """Return the total gradient: the integrated gradient of the scores plus the penalty's gradient.

    Args:
        points: number S of points on each term's path.
        noise: standard deviation of the Gaussian noise on each picture of a path.

    Returns:
        The total gradient by the masks, every term's mean score on its path, and the penalty.
    """
    shares = jnp.arange(1, points + 1, dtype=masks.dtype) / points

    def path(masks):
        return jax.vmap(lambda share: _mixtures(problem, share * problem.build(masks)))(shares)

    pictures, pull = jax.vjp(path, masks)
    noisy = pictures + noise * jax.random.normal(key, pictures.shape, pictures.dtype)
    scores, slopes = _in_chunks(
        lambda part: gradients(classifier, part, target, problem.score), noisy, problem.chunk
    )
    weights = problem.weights / points
    (by_scores,) = pull(weights[:, None, None, None] * slopes)  # the integrated gradient
    penalty, by_penalty = jax.value_and_grad(problem.penalty)(masks)
    return by_scores + by_penalty, scores.mean(axis=0), penalty


def values_of(
    problem: Problem, classifier: Classifier, target: Target, candidates: Float[Array, "k ..."]
) -> Float[Array, " k"]:
    """Return the minimised value of several candidates for the masks, without noise."""
    pictures = jax.vmap(lambda masks: _mixtures(problem, problem.build(masks)))(candidates)
    scores = _in_chunks(
        lambda part: SCORES[problem.score](logits_of(classifier, part), target),
        pictures,
        problem.chunk,
    )
    return scores @ problem.weights + jax.vmap(problem.penalty)(candidates)


def _mixtures(problem: Problem, masks: Float[Array, "terms h w"]) -> Images:
    return jax.vmap(mix)(problem.ones, masks, problem.zeros)


def _in_chunks(
    function: Callable[[Images], Any], pictures: Float[Array, "a b h w c"], chunk: int
) -> Any:
    """Apply a function of a batch to "a b h w c", at most `chunk` pictures at once."""
    count = pictures.shape[0] * pictures.shape[1]
    flat = pictures.reshape(count, *pictures.shape[2:])
    if count <= chunk:
        found = function(flat)
    else:
        even = -(-count // -(-count // chunk))  # as few pictures as possible are computed twice
        found = in_chunks(lambda at: function(flat[at]), count, even)
    return jax.tree.map(lambda x: x.reshape(*pictures.shape[:2], *x.shape[1:]), found)
