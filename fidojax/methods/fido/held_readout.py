"""What FIDO with `hold` returns: the map, and the region that is read out of it by asking."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import (
    Region,
    logits_of,
    mix,
    probability,
    readout_key,
    region,
    saliency_of,
    upsample,
)
from fidojax.methods.readout import harden
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


class HeldRecord(NamedTuple):
    """One step's entry in the history.

    Attributes:
        objective: minus the mean margin, in nats, plus the weighted total variation.
        score: the mean margin of the sampled masks, in nats, see `fidojax.core.margin`.
        margin: the worst margin: that mean, or the region itself on one infiller with one edge.
        area: the region's expected share of the picture.
        price: the multiplier, nats of margin per pixel: the `lam` that asks for this area.
    """

    objective: Scalar
    score: Scalar
    margin: Scalar
    area: Scalar
    price: Scalar


class HeldInfo(NamedTuple):
    """The further results of FIDO with `hold`.

    Attributes:
        objective, score, margin, area: "steps", see `HeldRecord`.
        price: the multiplier of the last step, in nats of margin per pixel.
        sampled: mean p(target) on the masks that were sampled in the last step.
        keep: "h w", keep probability in [0, 1].
        region: the smallest superlevel set of the map that holds; NaN where there is none.
        reference: "h w c", the first infiller's picture, given the pixels that are kept.
        mixture: "h w c", the kept pixels on that infill: with "ssr" and "dual" the region alone,
            with "sdr" the picture without it. Where there is no region, of the pixels with
            keep > 0.5.
        probability: p(target) on the mixture.
        original: p(target) on the image.
    """

    objective: Float[Array, " steps"]
    score: Float[Array, " steps"]
    margin: Float[Array, " steps"]
    area: Float[Array, " steps"]
    price: Scalar
    sampled: Scalar
    keep: Mask
    region: Region
    reference: Image
    mixture: Image
    probability: Scalar
    original: Scalar


def read_out_held(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    keep: Float[Array, "rows columns"],
    history: HeldRecord,
    sampled: Scalar,
    *,
    fills: tuple[Infiller, ...],
    objective: str,
    hold: float | Scalar | str,
    available: Mask | None,
) -> Explanation:
    """Return the explanation of a map whose region has to hold.

    Args:
        key: of the picture; the infills have keys of their own, folded from it.
        keep: keep probability in [0, 1], of any sides.
        history: the record with a leading axis of steps.
        sampled: mean p(target) on the masks of the last step.

    The other arguments are those of `fido_loop`.
    """
    sense = "sdr" if objective == "sdr" else "ssr"
    keep = upsample(keep, image.shape[:2])
    saliency = saliency_of(sense, keep)
    key = readout_key(key)
    found = region(
        key, classifier, image, target, saliency,
        infill=fills, hold=hold, objective=objective, available=available,
    )  # fmt: skip
    shown = saliency_of(sense, jnp.where(jnp.isnan(found.area), harden(saliency), found.mask))
    reference = fills[0](jax.random.fold_in(key, 0), image, shown)
    mixture = mix(image, shown, reference)
    info = HeldInfo(
        objective=history.objective,
        score=history.score,
        margin=history.margin,
        area=history.area,
        price=history.price[-1],
        sampled=sampled,
        keep=keep,
        region=found,
        reference=reference,
        mixture=mixture,
        probability=probability(logits_of(classifier, mixture[None])[0], target),
        original=found.original,
    )
    return Explanation(saliency, info)
