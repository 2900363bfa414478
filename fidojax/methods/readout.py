"""What the methods that optimise a mask share: their shape, and the info they leave."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import Record, check_count, mix, probability
from fidojax.types import Classifier, Image, Infiller, Mask, PRNGKey, Scalar, Target


class MaskInfo(NamedTuple):
    """What a method that optimises a mask leaves besides the map.

    Attributes:
        objective: "steps", the minimised value, with its regularisers at their weight then.
        score: "steps", mean score of the target over the sampled counterfactuals.
        keep: "h w", keep probability (FIDO) or soft mask (BBMP), in [0, 1].
        reference: "h w c", one infill given the pixels with keep > 0.5.
        mixture: "h w c", those pixels on that infill: what the classifier sees of the explanation.
        probability: p(target) on the mixture.
        original: p(target) on the image.
    """

    objective: Float[Array, " steps"]
    score: Float[Array, " steps"]
    keep: Mask
    reference: Image
    mixture: Image
    probability: Scalar
    original: Scalar


def optimised_shape(image: Image, size: int | None) -> tuple[int, int]:
    """Sides of the optimised map: `size` square, or a quarter of the image's sides when None."""
    if size is None:
        return (-(-image.shape[0] // 4), -(-image.shape[1] // 4))
    check_count(size=size)
    return (size, size)


def final_infill(key: PRNGKey, infill: Infiller, image: Image, keep: Mask) -> Image:
    """One infill given the pixels with keep > 0.5."""
    return infill(jax.random.fold_in(key, jnp.iinfo(jnp.int32).max), image, harden(keep))


def mask_info(
    classifier: Classifier,
    image: Image,
    target: Target,
    keep: Mask,
    reference: Image,
    history: Record,
) -> MaskInfo:
    """Judge the finished mask: show the classifier its pixels on the reference."""
    mixture = mix(image, harden(keep), reference)
    shown, original = probability(classifier(jnp.stack([mixture, image])), target)
    return MaskInfo(
        objective=history.objective,
        score=history.score,
        keep=keep,
        reference=reference,
        mixture=mixture,
        probability=shown,
        original=original,
    )


def harden(keep: Mask) -> Mask:
    """The most probable mask: 1 where keep > 0.5, else 0."""
    return (keep > 0.5).astype(keep.dtype)
