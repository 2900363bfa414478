"""Faithfulness: whether a map's values agree with the fall of the score without their pixels.

Pixels are dropped in groups, and an infiller that sees the remaining pixels fills them. A group's
attribution, the sum of the map over its pixels, is compared with the fall of the score.

| published name                            | here                                                |
|-------------------------------------------|-----------------------------------------------------|
| faithfulness correlation, Bhatt 2020      | `correlation` with `drop="pixels"`                  |
| mu-fidelity, as libraries have it         | `rank_correlation` with `drop="pixels"`             |
| faithfulness estimate, Alvarez-Melis 2018 | `correlation` with `drop="ranked"`                  |
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fidojax.core import (
    SCORES,
    check_count,
    check_name,
    in_chunks,
    logits_of,
    masked_scores,
    of_one_image,
    rank,
)
from fidojax.metrics.checks import check_map
from fidojax.types import Classifier, Image, Infiller, Mask, PRNGKey, Saliency, Scalar, Target

DROPS = ("pixels", "square", "ranked")

Numbers = Float[Array, " n"]


class Faithfulness(NamedTuple):
    """The correlations for one picture, and the two columns that they compare.

    Attributes:
        correlation: Pearson's correlation of `attributed` and `fall`, in [-1, 1]; higher is better.
            NaN where the map is constant or not finite.
        rank_correlation: their Spearman correlation, likewise.
        attributed: "n", sum of the map over the dropped pixels of each group.
        fall: "n", fall of the score when these pixels are dropped.
    """

    correlation: Scalar
    rank_correlation: Scalar
    attributed: Numbers
    fall: Numbers


@of_one_image
def faithfulness(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    drop: str = "pixels",
    share: float = 0.2,
    samples: int = 200,
    chunk: int = 128,
    score: str = "log_odds",
) -> Faithfulness:
    """Correlation of the map's sum over dropped pixels with the fall of the score.

    In [-1, 1]; higher is better. A map of every pixel's contribution to an additive score has 1.

    Args:
        saliency: any map; its values are compared, not only their order.
        infill: fills the dropped pixels, and sees those that remain.
        drop, share, samples: the groups, see `groups`.
        chunk: masked versions of the picture that the classifier sees at once; bounds the memory
            and changes no value.
        score: a name in `fidojax.core.SCORES`.

    Raises:
        ValueError: the map's shape is not the image's, a name is unknown, a count is below 1, or
            the share is outside (0, 1].

    Example:
        import infillers
        from fidojax.metrics import faithfulness

        found = faithfulness(
            key, classifier, image, target, saliency, infill=infillers.mean(), samples=20
        )
        pearson = found.correlation

    Reference: Bhatt, Weller, Moura, "Evaluating and Aggregating Feature-based Model Explanations",
    IJCAI 2020; Alvarez-Melis, Jaakkola, "Towards Robust Interpretability with Self-Explaining
    Neural Networks", NeurIPS 2018.
    """
    attributed, fall = attributed_and_fall(
        key, classifier, image, target, saliency,
        infill=infill, drop=drop, share=share, samples=samples, chunk=chunk, score=score,
    )  # fmt: skip
    # The sums of a constant map differ by rounding alone, which says nothing.
    telling = jnp.all(jnp.isfinite(saliency)) & (jnp.ptp(saliency) > 0)
    attributed = jnp.where(telling, attributed, jnp.nan)
    return Faithfulness(pearson(attributed, fall), spearman(attributed, fall), attributed, fall)


def attributed_and_fall(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    drop: str,
    share: float,
    samples: int,
    chunk: int,
    score: str,
) -> tuple[Numbers, Numbers]:
    """The sum of the map over each group of pixels, and the fall of the score without them."""
    check_map(saliency, image)
    check_name("score", score, SCORES)
    group_key, infill_key = jax.random.split(key)
    group, count = groups(group_key, saliency, drop=drop, share=share, samples=samples)
    without = masked_scores(
        infill_key, classifier, image, target, lambda i: 1 - group(i).astype(image.dtype), count,
        infill=infill, score=score, chunk=chunk,
    )  # fmt: skip
    attributed = in_chunks(jax.vmap(lambda i: jnp.sum(group(i) * saliency)), count, chunk)
    return attributed, SCORES[score](logits_of(classifier, image[None])[0], target) - without


def groups(
    key: PRNGKey, saliency: Saliency, *, drop: str, share: float, samples: int
) -> tuple[Callable[[Int[Array, ""]], Mask], int]:
    """Return a function from an index to a group of pixels, and the number of groups.

    A group is an array "h w" with 1 for its pixels and 0 for all others.

    Args:
        drop: "pixels", a `share` of the pixels at random; "square", a square of that area at a
            random place of the picture; "ranked", neighbours in the order of the map: all pixels in
            `samples` equal groups.
        share: share of the pixels in a group, in (0, 1]; rounded to whole pixels, at least one.
        samples: number of groups; "ranked" has at most one per pixel.
    """
    check_name("drop", drop, DROPS)
    check_count(samples=samples)
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, expected above 0 and at most 1")
    shape, size = saliency.shape, saliency.size
    if drop == "ranked":
        samples = min(samples, size)
        number = rank(saliency) * samples // size
        return lambda i: (number == i).astype(saliency.dtype), samples
    if drop == "pixels":
        count = max(1, round(share * size))

        def scattered(i):
            draw = jax.random.uniform(jax.random.fold_in(key, i), shape)
            return (rank(draw) < count).astype(saliency.dtype)

        return scattered, samples
    sides = tuple(min(n, max(1, round((share * size) ** 0.5))) for n in shape)

    def square(i):
        free = jnp.array([n - side + 1 for n, side in zip(shape, sides, strict=True)])
        start = jax.random.randint(jax.random.fold_in(key, i), (2,), 0, free)
        rows, columns = (
            (jnp.arange(n) >= at) & (jnp.arange(n) < at + side)
            for n, at, side in zip(shape, start, sides, strict=True)
        )
        return (rows[:, None] & columns).astype(saliency.dtype)

    return square, samples


def pearson(one: Numbers, other: Numbers) -> Scalar:
    """Pearson's correlation, in [-1, 1]; NaN where one of them is constant or not finite."""
    one, other = one - one.mean(), other - other.mean()
    scale = jnp.linalg.norm(one) * jnp.linalg.norm(other)
    return jnp.clip(jnp.where(scale > 0, jnp.vdot(one, other) / scale, jnp.nan), -1, 1)


def spearman(one: Numbers, other: Numbers) -> Scalar:
    """Spearman's correlation: Pearson's correlation of the ranks, which tied numbers share."""
    finite = jnp.all(jnp.isfinite(one) & jnp.isfinite(other))
    return jnp.where(finite, pearson(_ranks(one), _ranks(other)), jnp.nan)


def _ranks(values: Numbers) -> Numbers:
    """Twice the rank of each number: the numbers below it plus the numbers not above it."""
    ordered = jnp.sort(values)
    below, not_above = (jnp.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + not_above).astype(values.dtype)
