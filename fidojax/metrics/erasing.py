"""Erasing: how far all class probabilities move while pixels go, a share at a time, in order.

VarSal, "Variational saliency maps for explaining model's behavior", section 4.4 (Figure 5a), after
Srinivas & Fleuret 2019. A pixel is a place of the picture: its colours go together.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fidojax.core import check_name, class_divergence, logits_of, masked_values, of_one_image, rank
from fidojax.metrics.checks import check_map
from fidojax.metrics.curve import has_order, masks_of
from fidojax.types import Classifier, Image, Images, PRNGKey, Saliency, Scalar, Target

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The shares of erased pixels at which the curve is evaluated."""

ORDERS = ("lowest", "highest")
ERASED: dict[str, Callable[[Image], Image]] = {
    "black": jnp.zeros_like,
    "grey": lambda image: jnp.full_like(image, 0.5),
    "mean": lambda image: jnp.broadcast_to(image.mean((0, 1)), image.shape),
}
"""The colour of erased pixels: 0, 0.5, or the picture's own mean colour."""


class Erasing(NamedTuple):
    """The curve of `erasing` for one picture.

    NaN where the map is not finite, since such a map has no order.

    Attributes:
        curve: "shares", the divergence in nats, >= 0.
        erased: "shares", the number of pixels gone.
        mean: the mean of the curve, in nats; lower is better where the lowest pixels go first,
            higher where the highest do.
    """

    curve: Float[Array, " shares"]
    erased: Int[Array, " shares"]
    mean: Scalar


@of_one_image
def erasing(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    shares: Sequence[float] | Float[Array, " shares"] = SHARES,
    order: str = "lowest",
    erased: str = "black",
    chunk: int = 32,
) -> Erasing:
    """KL(P(x) || P(x without a share of its pixels)) over all classes, for each share.

    In nats, >= 0. With the lowest pixels erased, it is small where the map's high pixels carry the
    decision, so lower is better; with the highest pixels erased, higher is. Key and target have no
    effect: nothing is drawn, and all classes count.

    Args:
        saliency: any map; only the order of its values counts, and tied pixels are in row-major
            order from high to low.
        shares: shares of the pixels, in [0, 1]; rounded to whole pixels.
        order: which pixels go first, a name in `ORDERS`.
        erased: the colour of erased pixels, a name in `ERASED`; the paper's "zero" is black in
            [0, 1].
        chunk: masked versions of the picture that the classifier sees at once; bounds the memory
            and changes no value.

    Raises:
        ValueError: the map's shape is not the image's, a name is unknown, there is no share or one
            outside [0, 1], or `chunk` is below 1.

    Example:
        from fidojax.metrics import erasing

        found = erasing(key, classifier, image, target, saliency, shares=(0.25, 0.5))
        without_the_lower_half = found.curve[1]

    Reference: VarSal section 4.4.
    """
    del target
    check_map(saliency, image)
    check_name("order", order, ORDERS)
    check_name("erased", erased, ERASED)
    if isinstance(shares, Sequence) and not (shares and all(0 <= share <= 1 for share in shares)):
        raise ValueError(f"shares are {shares}, expected at least one, each in [0, 1]")
    filled = ERASED[erased](image)
    counts = jnp.round(jnp.asarray(shares) * saliency.size).astype(int)
    place = rank(saliency)
    before = logits_of(classifier, image[None])

    def divergence(images: Images) -> Float[Array, " n"]:
        return class_divergence(before, logits_of(classifier, images))

    keep = masks_of(place if order == "highest" else saliency.size - 1 - place, counts, image)
    curve = masked_values(
        key, divergence, image, keep, len(counts), infill=lambda *_: filled, chunk=chunk
    )
    curve = jnp.where(has_order(saliency), curve, jnp.nan)
    return Erasing(curve, counts, curve.mean())
