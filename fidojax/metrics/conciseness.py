"""Conciseness-preciseness: how much of the class remains on how little of the picture."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import entr

from fidojax.core import check_name, logits_of, of_one_image, probability
from fidojax.metrics.checks import check_map
from fidojax.metrics.curve import has_order
from fidojax.metrics.shown import shown_region
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target


def _l1(image: Image) -> Scalar:
    return jnp.abs(image).sum()


def _entropy(image: Image) -> Scalar:
    energy = image**2
    return entr(energy / energy.sum()).sum()


INFORMATION: dict[str, Callable[[Image], Scalar]] = {"l1": _l1, "entropy": _entropy}
"""The information in a picture: the sum of its absolute values, or the entropy in nats of their
squares as shares of the sum of squares."""


class ConcisenessPreciseness(NamedTuple):
    """The scores of one region; NaN where it has no information or the map is not finite.

    Attributes:
        score: `probability` per `information`, at least 0; 1 for the whole picture. Higher is
            better.
        probability: p(target) on the region on its infill, as a share of p(target) on the picture;
            it may exceed 1.
        information: the picture's information that the region has, as a share of the picture's.
    """

    score: Scalar
    probability: Scalar
    information: Scalar


@of_one_image
def conciseness_preciseness(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller | tuple[Infiller, ...],
    objective: str = "ssr",
    threshold: float | Scalar = 0.5,
    information: str = "l1",
) -> ConcisenessPreciseness:
    """The class's retained probability divided by the retained information of the picture.

    At least 0; higher is better. The ratio rewards small regions without bound: a region of a few
    dark pixels that keeps a hundredth of the probability may score above one that keeps the class.
    Read it beside `probability`.

    Args:
        saliency: a map in [0, 1]: keep probability ("ssr") or drop probability ("sdr").
        infill: fills the dropped pixels; of several the first. The information is that of the kept
            pixels alone, with 0 in place of the others.
        objective: the meaning of the map, a name in `fidojax.core.OBJECTIVES`.
        threshold: pixels with a keep probability above it are kept.
        information: a name in `fidojax.metrics.INFORMATION`.

    Raises:
        ValueError: the map's shape is not the image's, or a name is unknown.

    Example:
        import infillers
        from fidojax.metrics import conciseness_preciseness

        found = conciseness_preciseness(
            key, classifier, image, target, saliency, infill=infillers.mean()
        )
        probability_per_information = found.score

    Reference: Kolek et al. 2023.
    """
    check_name("information", information, INFORMATION)
    check_map(saliency, image)
    mask, mixture = shown_region(key, image, saliency, infill, objective, threshold)
    shown, original = probability(logits_of(classifier, jnp.stack([mixture, image])), target)
    measure = INFORMATION[information]
    kept = measure(mask[..., None] * image) / measure(image)
    retained = shown / original
    found = ConcisenessPreciseness(retained / kept, retained, kept)
    valid = has_order(saliency) & (kept > 0)  # not so for NaN: of an empty region's shares
    return ConcisenessPreciseness(*(jnp.where(valid, value, jnp.nan) for value in found))
