"""Functions shared by the methods that optimise a mask: its sides, its start, its readout."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import (
    Record,
    check_count,
    logits_of,
    mix,
    probability,
    readout_key,
    saliency_of,
    upsample,
)
from fidojax.types import (
    Classifier,
    Explanation,
    Image,
    Infiller,
    Mask,
    PRNGKey,
    Scalar,
    Target,
)


class MaskInfo(NamedTuple):
    """The further results of a method that optimises a mask.

    Attributes:
        objective: "steps", the minimised value with the regularisers at their weight in that step.
        score: "steps", mean score of the target over the sampled counterfactuals.
        keep: "h w", keep probability (FIDO) or soft mask (BBMP), in [0, 1].
        reference: "h w c", one infill given the pixels with keep > 0.5.
        mixture: "h w c", those pixels on that infill.
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


def optimised_shape(image: Image, size: int | None, part: int = 4) -> tuple[int, int]:
    """Return the sides of the optimised map: `size`, or if None the image's divided by `part`."""
    if size is None:
        return (-(-image.shape[0] // part), -(-image.shape[1] // part))
    check_count(size=size)
    return (size, size)


def start_mask(
    start: float | Scalar | Float[Array, "rows columns"], image: Image, size: int | None
) -> Float[Array, "rows columns"]:
    """Return the option `start`, a number or a map, at the sides of the optimised map."""
    return jnp.broadcast_to(jnp.asarray(start, image.dtype), optimised_shape(image, size))


def read_out(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    mask: Float[Array, "rows columns"],
    history: Record,
    *,
    infill: Infiller,
    objective: str,
) -> Explanation:
    """Return the explanation of an optimised mask of any sides: its map and `MaskInfo`.

    Args:
        key: of the picture; the infill of the mixture has a key of its own, folded from it.
        mask: keep probability (FIDO) or soft mask (BBMP), in [0, 1].
        history: the record with a leading axis of steps.
        infill: fills the pixels with keep <= 0.5 of the mixture.
        objective: "ssr" or "sdr".
    """
    keep = upsample(mask, image.shape[:2])
    key = readout_key(key)
    reference = infill(key, image, harden(keep))
    info = mask_info(classifier, image, target, keep, reference, history)
    return Explanation(saliency_of(objective, keep), info)


def mask_info(
    classifier: Classifier,
    image: Image,
    target: Target,
    keep: Mask,
    reference: Image,
    history: Record,
) -> MaskInfo:
    """Show the classifier the kept pixels on the reference, and return what it says of them."""
    mixture = mix(image, harden(keep), reference)
    shown, original = probability(logits_of(classifier, jnp.stack([mixture, image])), target)
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
    """Return the most probable mask: 1 where keep > 0.5, else 0."""
    return (keep > 0.5).astype(keep.dtype)
