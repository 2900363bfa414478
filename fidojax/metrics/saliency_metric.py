"""The saliency metric: how small a box can be and still show the class.

Dabkowski, Gal, "Real Time Image Saliency for Black Box Classifiers", NeurIPS 2017, section 5.1,
as FIDO's Table 1 has it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from fidojax.core import (
    Box,
    area,
    bounding_box,
    check_name,
    log_probability,
    logits_of,
    of_one_image,
)
from fidojax.metrics.checks import check_map
from fidojax.metrics.localisation import choose
from fidojax.types import Classifier, Image, PRNGKey, Saliency, Scalar, Target


class SaliencyMetric(NamedTuple):
    """The saliency metric of one picture; lower is better.

    Attributes:
        value: log of the area, at least its floor, minus the log-probability; in nats.
        area: area of the box, as a share of the picture in [0, 1].
        log_probability: log-probability of the class on the crop, in nats, <= 0.
    """

    value: Scalar
    area: Scalar
    log_probability: Scalar


@of_one_image
def saliency_metric(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    threshold: float | Scalar = 0.5,
    rule: str = "absolute",
    empty: str = "image",
    component: str = "all",
    interpolation: str = "linear",
    floor: float | Scalar = 0.05,
) -> SaliencyMetric:
    """log max(a, 0.05) - log p(target | crop), for the tightest box of the chosen pixels.

    In nats; lower is better, and log 0.05 is the least. NaN where the map is not finite. Nothing is
    drawn, so the key has no effect.

    Args:
        saliency: any map for the rule "mean", a map in [0, 1] for "absolute".
        threshold, rule: see `fidojax.metrics.localisation.choose`.
        empty, component: see `fidojax.core.bounding_box`. With "none" an empty map shows a black
            picture at the floor's area.
        interpolation, floor: see `box_metric`.

    Raises:
        ValueError: the map's shape is not the image's, or a name is unknown.

    Example:
        from fidojax.metrics import saliency_metric

        found = saliency_metric(
            key, classifier, image, target, saliency, rule="mean", threshold=1.0
        )
        nats = found.value

    Reference: Dabkowski & Gal 2017, section 5.1; FIDO section 4.4.
    """
    del key
    check_map(saliency, image)
    box = bounding_box(choose(saliency, threshold, rule=rule), empty=empty, component=component)
    found = box_metric(classifier, image, target, box, interpolation=interpolation, floor=floor)
    finite = jnp.all(jnp.isfinite(saliency))
    return SaliencyMetric(*(jnp.where(finite, value, jnp.nan) for value in found))


def box_metric(
    classifier: Classifier,
    image: Image,
    target: Target,
    box: Box,
    *,
    interpolation: str = "linear",
    floor: float | Scalar = 0.05,
) -> SaliencyMetric:
    """The saliency metric of a given box; lower is better.

    Args:
        box: half-open, in pixels; it may be a traced value.
        interpolation: interpolation of the crop, see `crop`.
        floor: areas below it count as this area.

    Raises:
        ValueError: an unknown interpolation.
    """
    seen = crop(image, box, interpolation=interpolation)
    shown = log_probability(logits_of(classifier, seen[None])[0], target)
    share = area(jnp.asarray(box)) / (image.shape[0] * image.shape[1])
    return SaliencyMetric(jnp.log(jnp.maximum(share, floor)) - shown, share, shown)


def crop(image: Image, box: Box, *, interpolation: str = "linear") -> Image:
    """A box of the picture, enlarged to the picture's sides, from the pixels of the box alone.

    Equal to `jax.image.resize` of the cut-out, with shapes that do not depend on the box; black
    where the box has no area.

    Args:
        interpolation: "linear" or "cubic", a name in `KERNELS`; overshoot is clipped to [0, 1].

    Raises:
        ValueError: an unknown interpolation.
    """
    check_name("interpolation", interpolation, KERNELS)
    kernel = KERNELS[interpolation]
    top, left, bottom, right = jnp.asarray(box)
    # `jax.image.scale_and_translate` would mix in the pixels around the box.
    rows = _weights(image.shape[0], top, bottom, kernel)
    columns = _weights(image.shape[1], left, right, kernel)
    enlarged = jnp.einsum("ia,abc,jb->ijc", rows, image, columns, precision="highest")
    return jnp.clip(enlarged, 0, 1)


def _weights(
    size: int, first: Num[Array, ""], last: Num[Array, ""], kernel
) -> Float[Array, "size size"]:
    """The weight of every pixel in every pixel of the enlarged box, along one side."""
    pixel = jnp.arange(size)
    centre = first + (pixel + 0.5) * (last - first) / size - 0.5
    weights = kernel(jnp.abs(centre[:, None] - pixel))
    weights = jnp.where((pixel >= first) & (pixel < last), weights, 0)
    total = weights.sum(axis=1, keepdims=True)
    return jnp.where(total == 0, 0, weights / jnp.where(total == 0, 1, total))


def _linear(distance):
    return jax.nn.relu(1 - distance)


def _cubic(distance):
    """The cubic convolution kernel of Keys 1981, with a = -1/2."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    return jnp.where(distance < 1, near, jnp.where(distance < 2, far, 0))


KERNELS = {"linear": _linear, "cubic": _cubic}
"""Interpolation kernels by name, for enlarging the crop."""
