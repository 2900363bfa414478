"""The score of a picture while its pixels go, or come, in a given order."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fidojax.core import masked_scores
from fidojax.types import Classifier, Image, Infiller, Mask, PRNGKey, Saliency, Target


def score_curve(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    place: Int[Array, "h w"],
    counts: Int[Array, " points"],
    *,
    infill: Infiller,
    score: str,
    chunk: int,
    show: bool = False,
) -> Float[Array, " points"]:
    """Return the score after each number of pixels has been removed, in the order of `place`.

    Args:
        place: the position of each pixel in the order, 0 for the pixel that goes first.
        counts: for each point of the curve, the number of pixels that are gone.
        infill: fills the pixels that are gone, and sees those that remain.
        score: a name in `fidojax.core.SCORES`.
        chunk: masked versions of the picture that the classifier sees at once; bounds the memory
            and changes no value.
        show: start with the infill alone, and show the first pixels instead of removing them.

    Raises:
        ValueError: the score is unknown, or `chunk` is below 1.
    """
    keep = masks_of(place, counts, image, show=show)
    return masked_scores(
        key, classifier, image, target, keep, len(counts), infill=infill, score=score, chunk=chunk
    )


def masks_of(
    place: Int[Array, "h w"], counts: Int[Array, " points"], image: Image, *, show: bool = False
) -> Callable[[Int[Array, ""]], Mask]:
    """Return the mask of each point of a curve as a function of the point's index.

    The arguments are those of `score_curve`.
    """

    def keep(point: Int[Array, ""]) -> Mask:
        first = place < counts[point]
        return (first if show else ~first).astype(image.dtype)

    return keep


def has_order(saliency: Saliency) -> Bool[Array, ""]:
    """Whether the map orders its pixels: a map that is not finite does not."""
    return jnp.all(jnp.isfinite(saliency))
