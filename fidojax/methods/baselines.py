"""Maps that ignore the classifier: the controls of FIDO Table 1."""

from typing import NamedTuple

import jax.numpy as jnp

from fidojax.core import Boxes, inside, of_one_image, pixel_boxes
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Scalar, Target


class NoInfo(NamedTuple):
    """A baseline has no further results."""


@of_one_image
def max_box(key: PRNGKey, classifier: Classifier, image: Image, target: Target) -> Explanation:
    """Return saliency 1 for every pixel.

    Example:
        >>> explanation = fidojax.max_box(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", 1 everywhere
        >>> area = saliency.mean()

    Reference: FIDO Table 1, "Max".
    """
    del key, classifier, target
    return Explanation(jnp.ones(image.shape[:2], jnp.float32), NoInfo())


@of_one_image
def center_box(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    area: float | Scalar = 0.5,
) -> Explanation:
    """Return a centred box of the given share of the area: 1 inside, 0 outside.

    Args:
        area: share of the picture in (0, 1]; the sides are rounded to whole pixels.

    Example:
        >>> explanation = fidojax.center_box(key, classifier, image, target, area=0.25)
        >>> saliency = explanation.saliency  # "h w", 1 inside the box
        >>> area = saliency.mean()

    Reference: FIDO Table 1, "Center".
    """
    del key, classifier, target
    height, width = image.shape[:2]
    side = jnp.sqrt(jnp.asarray(area, jnp.float32))
    tall, wide = jnp.round(side * height), jnp.round(side * width)
    top, left = jnp.floor((height - tall) / 2), jnp.floor((width - wide) / 2)
    return _of_boxes(jnp.stack([top, left, top + tall, left + wide])[None], image)


@of_one_image
def object_box(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    boxes: Boxes,
) -> Explanation:
    """Return the union of an object's ground-truth boxes: 1 inside, 0 outside.

    Args:
        boxes: half-open (top, left, bottom, right) in pixels of the image, see
            `fidojax.core.boxes`. A box of no area adds nothing, so a batch may be padded.

    Raises:
        ValueError: boxes are none, or shares of the sides.

    Example:
        >>> boxes = jnp.array([[2, 2, 6, 6]])  # top, left, bottom, right
        >>> explanation = fidojax.object_box(key, classifier, image, target, boxes=boxes)
        >>> saliency = explanation.saliency  # "h w", 1 inside a box

    Reference: FIDO Table 1, "BBox".
    """
    del key, classifier, target
    return _of_boxes(pixel_boxes(boxes, image.shape), image)


def _of_boxes(boxes: Boxes, image: Image) -> Explanation:
    return Explanation(inside(boxes, image.shape).astype(jnp.float32), NoInfo())
