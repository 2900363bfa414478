"""Removal and Preservation: how the score moves while pixels go, one by one, in the map's order.

VDSM, "Interpreting Neural Network Classifications with Variational Dropout Saliency Maps" (2017),
section 4, as its authors' code computes it. An infiller fills the pixels that are gone and sees
those that remain. A pixel is a place of the picture: its colours go together.

There is one ranking, from the most to the least salient pixel, with tied pixels in row-major order
(a stable sort). Removal takes pixels from its front, Preservation from its back. Where a map has
many ties, as BBMP's clipped mask has, the statistic depends on that rule (docs/results).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fidojax.core import check_count, of_one_image, rank
from fidojax.metrics.checks import check_map
from fidojax.metrics.curve import has_order, score_curve
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target


class Removal(NamedTuple):
    """The curve of `removal` or `preservation` for one picture, and its largest change.

    Attributes:
        curve: "points", the score after each step, step 0 (the whole picture) first.
        removed: "points", the number of pixels gone at each step, from 0 to all of them.
        statistic: the largest fall (Removal) or rise (Preservation) of the score, in its units;
            higher is better. NaN where the map is not finite, since such a map has no order.
        at: the number of pixels gone where the statistic is first reached.
    """

    curve: Float[Array, " points"]
    removed: Int[Array, " points"]
    statistic: Scalar
    at: Int[Array, ""]


@of_one_image
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

    max over n >= 1 of s(x) - s(x_n), in units of the score: large where the map names the pixels
    that the decision needs, so higher is better. Tied pixels go in row-major order, so a constant
    map removes row by row from the top.

    Args:
        saliency: any map; only the order of its values counts.
        infill: fills the pixels that are gone, and sees those that remain.
        stride: pixels per step; the last step removes the rest.
        chunk: masked versions of the picture that the classifier sees at once; bounds the memory
            and changes no value.
        score: a name in `fidojax.core.SCORES`.

    Raises:
        ValueError: the map's shape is not the image's, the score is unknown, or a count is below 1.

    Example:
        import infillers
        from fidojax.metrics import removal

        found = removal(key, classifier, image, target, saliency, infill=infillers.mean())
        largest_fall = found.statistic

    Reference: VDSM section 4.1.
    """
    check_map(saliency, image)
    removed = _counts(saliency.size, stride)
    curve = score_curve(
        key, classifier, image, target, rank(saliency), removed,
        infill=infill, score=score, chunk=chunk,
    )  # fmt: skip
    change = (curve[0] - curve).at[0].set(-jnp.inf)
    return _largest(change, curve, removed, saliency)


@of_one_image
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

    max over n >= 0 of s(x_n) - s(x), so at least 0, in units of the score: large where the map
    keeps what supports the class and drops what speaks against it, so higher is better. Tied pixels
    go in reverse row-major order: the order is that of `removal` backwards.

    Args:
        saliency, infill, stride, chunk, score: as in `removal`.

    Raises:
        ValueError: as `removal`.

    Example:
        import infillers
        from fidojax.metrics import preservation

        found = preservation(key, classifier, image, target, saliency, infill=infillers.mean())
        largest_rise = found.statistic

    Reference: VDSM section 4.1.
    """
    check_map(saliency, image)
    removed = _counts(saliency.size, stride)
    curve = score_curve(
        key, classifier, image, target, saliency.size - 1 - rank(saliency), removed,
        infill=infill, score=score, chunk=chunk,
    )  # fmt: skip
    return _largest(curve - curve[0], curve, removed, saliency)


def _counts(size: int, stride: int) -> Int[Array, " points"]:
    """The numbers of pixels gone: 0, then `stride` more at each step, and finally all of them."""
    check_count(stride=stride)
    return jnp.minimum(jnp.arange(-(-size // stride) + 1) * stride, size)


def _largest(
    change: Float[Array, " points"],
    curve: Float[Array, " points"],
    removed: Int[Array, " points"],
    saliency: Saliency,
) -> Removal:
    statistic = jnp.where(has_order(saliency), jnp.max(change), jnp.nan)
    return Removal(curve, removed, statistic, removed[jnp.argmax(change)])
