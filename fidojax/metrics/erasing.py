"""Erasing: how far all class probabilities move when pixels go, a share at a time, by their order.

VarSal, "Variational saliency maps for explaining model's behavior", section 4.4 (Figure 5a), after
Srinivas & Fleuret 2019. A pixel is a place of the picture: its colours go together.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fidojax.core import check_name, class_divergence, masked_scores, rank
from fidojax.types import Classifier, Image, Images, Logits, Saliency

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ORDERS = ("lowest", "highest")
ERASED: dict[str, Callable[[Image], Image]] = {
    "black": jnp.zeros_like,
    "grey": lambda image: jnp.full_like(image, 0.5),
    "mean": lambda image: jnp.broadcast_to(image.mean((0, 1)), image.shape),
}
"""What erased pixels become: 0, 0.5, or the picture's own mean colour."""


class Erasing(NamedTuple):
    """What `erasing` returns for one picture.

    Attributes:
        curve: "shares", the divergence in nats, >= 0; NaN where the map is not finite, since such a
            map has no order.
        erased: "shares", number of pixels gone.
    """

    curve: Float[Array, " shares"]
    erased: Int[Array, " shares"]


def erasing(
    classifier: Classifier,
    image: Image,
    saliency: Saliency,
    *,
    shares: Sequence[float] | Float[Array, " shares"] = SHARES,
    order: str = "lowest",
    erased: str = "black",
    chunk: int = 32,
) -> Erasing:
    """KL(P(x) || P(x without a share of its pixels)) over all classes, for each share.

    With the lowest pixels erased, small where the map's high pixels carry the decision; with the
    highest, large. It asks for no class and draws nothing, so it takes neither target nor key.

    Args:
        saliency: any map; it is used as an order, tied pixels in row-major order from high to low.
        shares: of the pixels, in [0, 1]; rounded to whole pixels.
        order: which pixels go first, a name in `ORDERS`.
        erased: what they become, a name in `ERASED`; the paper's "zero" is black in [0, 1].
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: the map's shape is not the image's, an unknown name, no share or one beyond
            [0, 1], or a chunk below 1.

    Reference: VarSal section 4.4.
    """
    check_name("order", order, ORDERS)
    check_name("erased", erased, ERASED)
    if saliency.shape != image.shape[:2]:
        raise ValueError(f"saliency has shape {saliency.shape}, expected {image.shape[:2]}")
    if isinstance(shares, Sequence) and not (shares and all(0 <= share <= 1 for share in shares)):
        raise ValueError(f"shares are {shares}, expected at least one, each in [0, 1]")
    filled = ERASED[erased](image)
    counts = jnp.round(jnp.asarray(shares) * saliency.size).astype(int)
    place = rank(saliency)
    gone = place if order == "highest" else saliency.size - 1 - place
    before = classifier(image[None])

    def divergence(images: Images) -> Logits:
        """A classifier whose only logit is what is asked for."""
        return class_divergence(before, classifier(images))[:, None]

    curve = masked_scores(
        jax.random.key(0), divergence, image, 0,
        lambda at: (gone >= counts[at]).astype(image.dtype), len(counts),
        infill=lambda *_: filled, score="logit", chunk=chunk,
    )  # fmt: skip
    return Erasing(jnp.where(jnp.all(jnp.isfinite(saliency)), curve, jnp.nan), counts)
