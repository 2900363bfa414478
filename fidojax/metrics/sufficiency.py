"""How few pixels of a map keep the class: the smallest sufficient region that it can show."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import check_count
from fidojax.metrics.removal import preservation
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target


class Sufficiency(NamedTuple):
    """What `sufficiency` returns for one picture.

    Attributes:
        share: the smallest share of pixels, in [0, 1], on which the class is kept; 0 where the
            infill alone shows it, NaN where the map is not finite.
        curve: "points", p(target) where the share `kept` of the pixels is shown.
        kept: "points", 1 first, 0 last.
    """

    share: Scalar
    curve: Float[Array, " points"]
    kept: Float[Array, " points"]


def sufficiency(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    level: float | Scalar = 0.5,
    points: int = 100,
    chunk: int = 128,
) -> Sufficiency:
    """The smallest share of the most salient pixels that gives the class half its probability.

    A threshold on a map is the map's own choice; this one asks for the best of all thresholds, so
    maps of different scales can be compared.

    Args:
        saliency: any map; it is used as an order. Pass 1 - saliency for a deletion map.
        infill: fills the pixels that are not shown, and sees those that are.
        level: share of the probability on the whole picture that counts as keeping the class.
        points: thresholds tried, evenly spaced in area.
        chunk: pictures that the classifier sees at once.

    Raises:
        ValueError: the map's shape is not the image's, or a count below 1.

    Reference: FIDO section 3.1, the smallest supporting region, on the regions of a map's order.
    """
    check_count(points=points)
    removal = preservation(
        key, classifier, image, target, saliency,
        infill=infill, stride=-(-saliency.size // points), chunk=chunk, score="probability",
    )  # fmt: skip
    kept = 1 - removal.removed / saliency.size
    enough = removal.curve >= level * removal.curve[0]
    share = jnp.where(enough, kept, 1.0).min()
    no_order = jnp.isnan(removal.statistic)
    return Sufficiency(jnp.where(no_order, jnp.nan, share), removal.curve, kept)
