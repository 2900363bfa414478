"""Integrated gradients: the gradient along the straight line from a baseline to the image.

Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017 (arXiv 1703.01365).

| paper | here                      |
|-------|---------------------------|
| x, x' | `image`, `reference`      |
| alpha | `nodes`                   |
| m     | `steps`                   |
| F     | the score of the target   |
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fidojax.core import (
    SCORES,
    check_count,
    check_name,
    logits_of,
    of_one_image,
    warn_of_shortfalls,
)
from fidojax.methods.attribution import CHANNELS, Attribution, gradients, mean_and_variance
from fidojax.types import Classifier, Explanation, Image, Infiller, PRNGKey, Scalar, Target

Nodes = tuple[np.ndarray, np.ndarray]


class PathInfo(NamedTuple):
    """The further results of integrated gradients.

    Attributes:
        attribution: "h w c", with its sign; up to `gap`, its sum is the image's score minus the
            reference's.
        gradient: "h w c", mean gradient along the way: the attribution per unit of brightness.
        gap: sum of the attribution minus the difference of the scores.
        score: the score on the image.
        reference: "h w c", where the way starts.
    """

    attribution: Attribution
    gradient: Attribution
    gap: Scalar
    score: Scalar
    reference: Image


MORE_STEPS = "take more steps, or another rule, as rule='gauss-legendre'"
"""What helps where the contributions do not add up."""


@of_one_image
def integrated_gradients(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    baseline: float | Float[Array, ""] | Image = 0.0,
    infill: Infiller | None = None,
    steps: int = 50,
    rule: str = "right",
    channels: str = "sum",
    score: str = "logit",
    chunk: int = 64,
) -> Explanation:
    """Saliency by the integral of the gradient between a baseline and the image.

    The map is the sum over the channels with its sign, in units of the score: its total is how much
    higher the image scores than the baseline, up to `info.gap`. The defaults are the paper's: a
    black picture, a Riemann sum, and a number of steps in its range of 20 to 300.

    Args:
        baseline: where the way starts: a picture, or a number for all its values.
        infill: when given, fills a picture of which nothing is kept, which is then the baseline.
        steps: points on the way, each one gradient of the classifier.
        rule: a name in `RULES`. At the same cost "middle" and "gauss-legendre" are more exact.
        channels: how the map is made of the channels, a name in
            `fidojax.methods.attribution.CHANNELS`.
        score: what is differentiated, a name in `fidojax.core.scores.SCORES`.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: an unknown name, a count below 1, or one step for the trapezoid.

    Warns:
        CompletenessWarning: `info.gap` is large; not where the function is traced.

    Example:
        >>> explanation = fidojax.integrated_gradients(
        ...     key, classifier, image, target, steps=20, rule="middle"
        ... )
        >>> saliency = explanation.saliency  # "h w", contributions with their sign
        >>> gap = explanation.info.gap  # how far their sum is from the score's difference

    Reference: Sundararajan et al. 2017, sections 3 and 5.
    """
    check_name("rule", rule, RULES)
    check_name("channels", channels, CHANNELS)
    check_name("score", score, SCORES)
    check_count(steps=steps, chunk=chunk)
    nodes, weights = (jnp.asarray(part, image.dtype) for part in RULES[rule](steps))
    if infill is not None:
        reference = infill(key, image, jnp.zeros(image.shape[:2], image.dtype))
    else:
        reference = jnp.broadcast_to(jnp.asarray(baseline, image.dtype), image.shape)
    difference = image - reference

    def along(indices):
        path = reference + nodes[indices, None, None, None] * difference
        return gradients(classifier, path, target, score)[1]

    mean, _ = mean_and_variance(along, weights, chunk)
    attribution = difference * mean  # the Riemann sum
    there, here = SCORES[score](logits_of(classifier, jnp.stack([image, reference])), target)
    gap = jnp.sum(attribution) - (there - here)
    info = PathInfo(attribution, mean, gap, there, reference)
    warn_of_shortfalls(info, MORE_STEPS)
    return Explanation(CHANNELS[channels](attribution), info)


def _left(steps: int) -> Nodes:
    return np.arange(steps) / steps, np.full(steps, 1 / steps)


def _right(steps: int) -> Nodes:
    return np.arange(1, steps + 1) / steps, np.full(steps, 1 / steps)


def _middle(steps: int) -> Nodes:
    return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)


def _trapezoid(steps: int) -> Nodes:
    if steps < 2:
        raise ValueError(f"steps is {steps}, expected at least 2 for the trapezoid: both its ends")
    # steps points make steps - 1 intervals, so that the weights have sum 1 and a constant gradient
    # is integrated exactly.
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights


@functools.lru_cache(maxsize=8)  # an eigenvalue problem
def _gauss_legendre(steps: int) -> Nodes:
    nodes, weights = np.polynomial.legendre.leggauss(steps)  # on [-1, 1]
    return (nodes + 1) / 2, weights / 2


RULES: dict[str, Callable[[int], Nodes]] = {
    "left": _left,
    "right": _right,
    "middle": _middle,
    "trapezoid": _trapezoid,
    "gauss-legendre": _gauss_legendre,
}
"""name -> rule(steps) -> points in [0, 1] and their weights, with sum 1."""
