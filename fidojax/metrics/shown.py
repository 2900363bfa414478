"""The region that a map shows, on its infill."""

from fidojax.core import OBJECTIVES, as_fills, check_name, mix
from fidojax.types import Image, Infiller, Mask, PRNGKey, Saliency, Scalar


def shown_region(
    key: PRNGKey,
    image: Image,
    saliency: Saliency,
    infill: Infiller | tuple[Infiller, ...],
    objective: str,
    threshold: float | Scalar,
) -> tuple[Mask, Image]:
    """Return the mask "h w" of a map's region and the picture of the region on its infill.

    Args:
        saliency: a map in [0, 1]: keep probability ("ssr") or drop probability ("sdr").
        infill: of several the first fills.
        threshold: pixels with a keep probability above it are in the region.

    Raises:
        ValueError: the objective is unknown, or there is no infiller.
    """
    check_name("objective", objective, OBJECTIVES)
    keep = saliency if objective == "ssr" else 1 - saliency
    mask = (keep > threshold).astype(image.dtype)
    return mask, mix(image, mask, as_fills(infill)[0](key, image, mask))
