"""Faithfulness: is what a map gives to pixels what the score loses without them?

Pixels are dropped in groups, and an infiller that sees the rest stands for them. A group's value in
the map, the sum over its pixels, is compared with the fall of the score.

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

from fidojax.core import SCORES, check_count, check_name, in_chunks, masked_scores, rank
from fidojax.types import Classifier, Image, Infiller, Mask, PRNGKey, Saliency, Scalar, Target

DROPS = ("pixels", "square", "ranked")

Numbers = Float[Array, " n"]


class Faithfulness(NamedTuple):
    """What `faithfulness` returns for one picture.

    Attributes:
        correlation: Pearson's, of `attributed` and `fall`, in [-1, 1]; NaN where the map is
            constant or not finite.
        rank_correlation: Spearman's.
        attributed: "n", sum of the map over the pixels that are dropped.
        fall: "n", of the score when they are.
    """

    correlation: Scalar
    rank_correlation: Scalar
    attributed: Numbers
    fall: Numbers


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

    A map of the score's contributions, pixel by pixel, has 1 where the score is additive.

    Args:
        infill: fills what is dropped, and sees what remains.
        drop, share, samples: the groups, see `groups`.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.
        score: a name in `fidojax.core.scores.SCORES`.

    Raises:
        ValueError: the map's shape is not the image's, an unknown name, a count below 1, or a share
            beyond (0, 1].

    Reference: Bhatt, Weller, Moura, "Evaluating and Aggregating Feature-based Model Explanations",
    IJCAI 2020; Alvarez-Melis, Jaakkola, "Towards Robust Interpretability with Self-Explaining
    Neural Networks", NeurIPS 2018.
    """
    attributed, fall = attributed_and_fall(
        key, classifier, image, target, saliency,
        infill=infill, drop=drop, share=share, samples=samples, chunk=chunk, score=score,
    )  # fmt: skip
    # The sums of a constant map differ by rounding, which is no answer.
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
    if saliency.shape != image.shape[:2]:
        raise ValueError(f"saliency has shape {saliency.shape}, expected {image.shape[:2]}")
    check_name("score", score, SCORES)
    group_key, infill_key = jax.random.split(key)
    group, count = groups(group_key, saliency, drop=drop, share=share, samples=samples)
    without = masked_scores(
        infill_key, classifier, image, target, lambda i: 1 - group(i).astype(image.dtype), count,
        infill=infill, score=score, chunk=chunk,
    )  # fmt: skip
    attributed = in_chunks(jax.vmap(lambda i: jnp.sum(group(i) * saliency)), count, chunk)
    return attributed, SCORES[score](classifier(image[None])[0], target) - without


def groups(
    key: PRNGKey, saliency: Saliency, *, drop: str, share: float, samples: int
) -> tuple[Callable[[Int[Array, ""]], Mask], int]:
    """Function of an index to a group of pixels, "h w" with 1 for its own; and their number.

    Args:
        drop: "pixels", a `share` of them at random; "square", one of that area at a random place of
            the picture; "ranked", neighbours in the order of the map: all pixels in `samples` equal
            groups.
        share: of the pixels; rounded to whole ones, at least one.
        samples: groups; "ranked" has at most as many as there are pixels.
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
    """Spearman's correlation: Pearson's of the places, which tied numbers share."""
    finite = jnp.all(jnp.isfinite(one) & jnp.isfinite(other))
    return jnp.where(finite, pearson(_places(one), _places(other)), jnp.nan)


def _places(values: Numbers) -> Numbers:
    """Twice the mean place of each number among all: half of them below, half of them not above."""
    ordered = jnp.sort(values)
    below, not_above = (jnp.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + not_above).astype(values.dtype)
