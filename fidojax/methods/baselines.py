"""Maps that ignore the classifier: the controls of FIDO Table 1."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import inside, of_one_image
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
    boxes: Float[Array, "b 4"],
) -> Explanation:
    """Return the union of an object's ground-truth boxes: 1 inside, 0 outside.

    Args:
        boxes: y0, x0, y1, x1 as shares of height and width in [0, 1], as TFDS gives them; rounded
            to pixels and half open. A box of no area adds nothing, so a batch may be padded.

    Example:
        >>> boxes = jnp.array([[0.25, 0.25, 0.75, 0.75]])  # shares of the sides
        >>> explanation = fidojax.object_box(key, classifier, image, target, boxes=boxes)
        >>> saliency = explanation.saliency  # "h w", 1 inside a box

    Reference: FIDO Table 1, "BBox".
    """
    del key, classifier, target
    height, width = image.shape[:2]
    pixels = jnp.round(boxes * jnp.array([height, width, height, width], boxes.dtype))
    return _of_boxes(pixels, image)


def _of_boxes(boxes: Float[Array, "b 4"], image: Image) -> Explanation:
    return Explanation(inside(boxes, image.shape).astype(jnp.float32), NoInfo())
