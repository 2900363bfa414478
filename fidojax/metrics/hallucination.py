"""Hallucination: edges that a masked picture has and the picture has not."""

from typing import NamedTuple

import jax.numpy as jnp

from fidojax.core import of_one_image
from fidojax.metrics.checks import check_map
from fidojax.metrics.curve import has_order
from fidojax.metrics.edges import edges, widened_edges
from fidojax.metrics.shown import shown_region
from fidojax.types import Classifier, Image, Infiller, Mask, PRNGKey, Saliency, Scalar, Target


class Hallucination(NamedTuple):
    """The edges that a mask invents in one picture; NaN where the map is not finite.

    Attributes:
        share: share of the mixture's edges that the picture does not have, in [0, 1]; 0 where the
            mixture has no edges. Lower is better.
        score: the same number of edges per edge of the picture, as the paper's authors count; it
            may exceed 1, favours small regions, and is NaN where the picture has no edges.
        invented: "h w", 1 at the edges that the picture does not have.
        image: "h w c", the mixture: the region on its infill.
    """

    share: Scalar
    score: Scalar
    invented: Mask
    image: Image


@of_one_image
def hallucination(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller | tuple[Infiller, ...],
    objective: str = "ssr",
    threshold: float | Scalar = 0.5,
    contrast: float | Scalar = 0.1,
    reach: int = 1,
) -> Hallucination:
    """The share of the edges of a region on its infill that the picture itself does not have.

    In [0, 1]; lower is better. Edges that a mask makes can look like an object and carry the class
    by themselves. They lie along the region's border and in an infill that is not smooth. The
    classifier has no effect.

    Args:
        saliency: a map in [0, 1]: keep probability ("ssr") or drop probability ("sdr").
        infill: fills the dropped pixels; of several the first.
        objective: the meaning of the map, a name in `fidojax.core.OBJECTIVES`.
        threshold: pixels with a keep probability above it are kept.
        contrast: an edge is where the slope of the brightness is above it, per pixel.
        reach: an edge is the picture's own if the picture has one within that many pixels.

    Raises:
        ValueError: the map's shape is not the image's, the objective is unknown, or `reach` is
            negative.

    Example:
        import infillers
        from fidojax.metrics import hallucination

        found = hallucination(key, classifier, image, target, saliency, infill=infillers.blur(2.0))
        share = found.share

    Reference: Kolek et al. 2023.
    """
    del classifier, target
    if reach < 0:
        raise ValueError(f"reach is {reach}, expected 0 or more pixels")
    check_map(saliency, image)
    _, mixture = shown_region(key, image, saliency, infill, objective, threshold)
    own = edges(image, contrast)
    seen = edges(mixture, contrast)
    invented = seen & ~widened_edges(own, reach)
    count = invented.sum()
    score = jnp.where(own.any(), count / jnp.maximum(own.sum(), 1), jnp.nan)
    valid = has_order(saliency) & jnp.all(jnp.isfinite(mixture))
    share, score = (
        jnp.where(valid, value, jnp.nan) for value in (count / jnp.maximum(seen.sum(), 1), score)
    )
    return Hallucination(share, score, invented.astype(image.dtype), mixture)
