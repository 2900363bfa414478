"""Removal and Preservation: how the score moves while pixels go, one by one, in the map's order.

VDSM, "Interpreting Neural Network Classifications with Variational Dropout Saliency Maps" (2017),
section 4, as its authors' code computes it. An infiller fills what is gone and sees the pixels that
remain. A pixel is a place of the picture: its colours go together.

There is one ranking, from the most to the least salient pixel, tied pixels in row-major order (a
stable sort). Removal takes pixels from its front, Preservation from its back. Where a map has many
ties, as BBMP's clipped mask has, the statistic depends on that rule (docs/results).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fidojax.core import masked_scores, rank
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target


class Removal(NamedTuple):
    """What Removal and Preservation return for one picture.

    Attributes:
        curve: "points", the score after each step, step 0 (the whole picture) first.
        removed: "points", number of pixels gone at each step, 0 first and all of them last.
        statistic: the largest fall (Removal) or rise (Preservation) of the score; NaN where the map
            is not finite, since such a map has no order.
        at: number of pixels gone where the statistic is reached first.
    """

    curve: Float[Array, " points"]
    removed: Int[Array, " points"]
    statistic: Scalar
    at: Int[Array, ""]


def removal(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    stride: int = 1,
    chunk: int = 128,
    score: str = "log_odds",
) -> Removal:
    """Remove the most salient pixels first; the statistic is the largest fall of the score.

    max over n >= 1 of s(x) - s(x_n): large where the map names the pixels that the decision needs.
    Tied pixels go in row-major order, so a constant map removes row by row from the top.

    Args:
        stride: pixels per step; the last step removes what is left.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.
        score: a name in `fidojax.core.scores.SCORES`.

    Raises:
        ValueError: the map's shape is not the image's, an unknown score, or a count below 1.

    Reference: VDSM section 4.1.
    """
    order = rank(saliency)
    curve, removed = _curve(
        key,
        classifier,
        image,
        target,
        order,
        infill=infill,
        stride=stride,
        chunk=chunk,
        score=score,
    )
    change = (curve[0] - curve).at[0].set(-jnp.inf)
    return _result(curve, removed, change, saliency)


def preservation(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    stride: int = 1,
    chunk: int = 128,
    score: str = "log_odds",
) -> Removal:
    """Remove the least salient pixels first; the statistic is the largest rise of the score.

    max over n >= 0 of s(x_n) - s(x), so at least 0: large where the map keeps what supports the
    class and lets go of what speaks against it. Tied pixels go in reverse row-major order: the
    order is that of `removal` backwards. Options and errors are those of `removal`.

    Reference: VDSM section 4.1.
    """
    order = saliency.size - 1 - rank(saliency)
    curve, removed = _curve(
        key,
        classifier,
        image,
        target,
        order,
        infill=infill,
        stride=stride,
        chunk=chunk,
        score=score,
    )
    return _result(curve, removed, curve - curve[0], saliency)


def _curve(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    order: Int[Array, "h w"],
    *,
    infill: Infiller,
    stride: int,
    chunk: int,
    score: str,
) -> tuple[Float[Array, " points"], Int[Array, " points"]]:
    if order.shape != image.shape[:2]:
        raise ValueError(f"saliency has shape {order.shape}, expected {image.shape[:2]}")
    if stride < 1:
        raise ValueError(f"stride is {stride}, expected at least 1")
    steps = -(-order.size // stride)
    removed = jnp.minimum(jnp.arange(steps + 1) * stride, order.size)
    curve = masked_scores(
        key, classifier, image, target,
        lambda step: (order >= removed[step]).astype(image.dtype), steps + 1,
        infill=infill, score=score, chunk=chunk,
    )  # fmt: skip
    return curve, removed


def _result(
    curve: Float[Array, " points"],
    removed: Int[Array, " points"],
    change: Float[Array, " points"],
    saliency: Saliency,
) -> Removal:
    statistic = jnp.where(jnp.all(jnp.isfinite(saliency)), jnp.max(change), jnp.nan)
    return Removal(curve, removed, statistic, removed[jnp.argmax(change)])
