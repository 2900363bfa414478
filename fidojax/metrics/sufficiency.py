"""How few pixels of a map keep the class: the smallest sufficient region among its thresholds."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import check_count, of_one_image
from fidojax.metrics.removal import preservation
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target


class Sufficiency(NamedTuple):
    """The smallest sufficient share for one picture, and the curve that it is read from.

    Attributes:
        share: the smallest share of pixels, in [0, 1], on which the class is kept; lower is better.
            0 where the infill alone shows the class, NaN where the map is not finite.
        curve: "points", p(target) where the share `kept` of the pixels is shown.
        kept: "points", the shares of the pixels shown, from 1 to 0.
    """

    share: Scalar
    curve: Float[Array, " points"]
    kept: Float[Array, " points"]


@of_one_image
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

    In [0, 1]; lower is better. A map's own threshold is arbitrary; this is the best of all
    thresholds, so maps of different scales can be compared.

    Args:
        saliency: any map; only the order of its values counts. Pass 1 - saliency for a deletion
            map.
        infill: fills the pixels that are not shown, and sees those that are.
        level: share of the probability on the whole picture that counts as keeping the class.
        points: thresholds tried, evenly spaced in area.
        chunk: masked versions of the picture that the classifier sees at once; bounds the memory
            and changes no value.

    Raises:
        ValueError: the map's shape is not the image's, or a count is below 1.

    Example:
        import infillers
        from fidojax.metrics import sufficiency

        found = sufficiency(key, classifier, image, target, saliency, infill=infillers.mean())
        smallest_share = found.share

    Reference: FIDO section 3.1, the smallest supporting region, among the regions of a map's order.
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
