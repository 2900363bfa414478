"""Whether a map lies on the object: its tightest box and its pixels against the true boxes.

FIDO, "Explaining Image Classifiers by Counterfactual Generation", section 4.4 (Table 1, Figure 8),
and the common measures beside it. A picture may have several true boxes, in pixels, see
`fidojax.core.boxes`; they are clipped to the picture once, for all measures.
Where it has none, and where the map is not finite, the numbers are NaN.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fidojax.core import Boxes, check_name, of_one_image
from fidojax.core import boxes as geometry
from fidojax.metrics.checks import check_map
from fidojax.types import Classifier, Image, PRNGKey, Saliency, Scalar, Target

RULES = ("absolute", "mean")
TIES = ("share", "first", "any")
SIGNS = {"positive": jax.nn.relu, "absolute": jnp.abs, "signed": jnp.asarray}


class Localisation(NamedTuple):
    """The tightest box of one map, compared with the true boxes.

    Attributes:
        box: "4", the tightest box of the chosen pixels, half-open.
        iou: its intersection over union with the true box that it fits best, in [0, 1]; higher is
            better.
        hit: 1 where that is above one half, else 0; higher is better. The WSL error is the share of
            zeros.
        outside: share of the chosen pixels outside all true boxes, in [0, 1]; lower is better. NaN
            where none is chosen.
        chosen: share of the picture's pixels that are chosen.
    """

    box: Int[Array, "4"]
    iou: Scalar
    hit: Scalar
    outside: Scalar
    chosen: Scalar


class PointingGame(NamedTuple):
    """The result of `pointing_game`.

    Attributes:
        hit: 1 where the largest value lies in a true box, else 0; between with shared ties. Higher
            is better.
    """

    hit: Scalar


class RelevanceMass(NamedTuple):
    """The result of `relevance_mass`.

    Attributes:
        share: share of the map's sum that lies in the boxes, in [0, 1] unless the sign is "signed";
            higher is better.
    """

    share: Scalar


class RelevanceRank(NamedTuple):
    """The result of `relevance_rank`.

    Attributes:
        share: share of the largest pixels that lies in the boxes, in [0, 1]; higher is better.
    """

    share: Scalar


class RocAuc(NamedTuple):
    """The result of `roc_auc`.

    Attributes:
        auc: area under the receiver operating characteristic, in [0, 1]; 1/2 by chance, higher is
            better.
    """

    auc: Scalar


@of_one_image
def localisation(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    boxes: Boxes,
    threshold: float | Scalar = 0.5,
    rule: str = "absolute",
    empty: str = "image",
    component: str = "all",
    overlap: float | Scalar = 0.5,
) -> Localisation:
    """Weakly supervised localisation (WSL) and the out-of-box proportion.

    The class need not be predicted, since only the place of the map is judged. A hit is 1 and
    better than 0; key, classifier and target have no effect.

    Args:
        saliency: any map for the rule "mean", a map in [0, 1] for "absolute".
        boxes: the true boxes, half-open, in pixels.
        threshold, rule: see `choose`.
        empty, component: see `fidojax.core.bounding_box`.
        overlap: a hit is an intersection over union above it.

    Raises:
        ValueError: the map's shape is not the image's, a name is unknown, or boxes are none.

    Example:
        from fidojax.metrics import localisation

        found = localisation(
            key, classifier, image, target, saliency, boxes=boxes, rule="mean", threshold=1.0
        )
        overlap = found.iou

    Reference: FIDO section 4.4.
    """
    del key, classifier, target
    check_map(saliency, image)
    boxes = geometry.pixel_boxes(boxes, image.shape)
    on = choose(saliency, threshold, rule=rule)
    box = geometry.bounding_box(on, empty=empty, component=component)
    iou = best_overlap(saliency, box, boxes)
    hit = jnp.where(jnp.isnan(iou), jnp.nan, iou > overlap)
    return Localisation(box, iou, hit, _known(out_of_box(on, boxes), saliency, boxes), on.mean())


def best_overlap(saliency: Saliency, box: Int[Array, "4"], boxes: Boxes) -> Scalar:
    """The intersection over union of a map's box with the true box that it fits best."""
    boxes = geometry.pixel_boxes(boxes, saliency.shape)
    return _known(geometry.intersection_over_union(box, boxes).max(), saliency, boxes)


def choose(
    saliency: Saliency, threshold: float | Scalar = 0.5, *, rule: str = "absolute"
) -> Bool[Array, "h w"]:
    """The pixels above the threshold.

    Args:
        threshold: a value of the map with the rule "absolute"; with "mean" a multiple, alpha, of
            the mean of the map after rescaling to [0, 1]. A constant map has no pixel above its
            mean.
        rule: FIDO takes "absolute" for its own map and "mean" for gradients and similar maps.

    Raises:
        ValueError: an unknown rule.
    """
    check_name("rule", rule, RULES)
    if rule == "absolute":
        return saliency > threshold
    lowest = saliency.min()
    scaled = (saliency - lowest) / jnp.maximum(
        saliency.max() - lowest, jnp.finfo(saliency.dtype).tiny
    )
    return scaled > threshold * scaled.mean()


def out_of_box(on: Bool[Array, "h w"], boxes: Boxes) -> Scalar:
    """Share of the chosen pixels outside all boxes, in [0, 1]; lower is better.

    NaN where no pixel is chosen or there is no box.

    Reference: FIDO section 4.4, Figure 8.
    """
    within = geometry.inside(geometry.pixel_boxes(boxes, on.shape), on.shape)
    return jnp.where(within.any(), (on & ~within).sum() / on.sum(), jnp.nan)


@of_one_image
def pointing_game(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    boxes: Boxes,
    tolerance: float | Scalar = 0.0,
    ties: str = "share",
) -> PointingGame:
    """Whether the map's largest value lies in a true box: 1, the better, or 0.

    Key, classifier and target have no effect.

    Args:
        saliency: any map.
        boxes: the true boxes, half-open, in pixels.
        tolerance: largest distance from a box, in pixels, that counts as inside it. Zhang et al.
            use 15 for pictures of about 224 pixels.
        ties: rule for several largest pixels: the "share" of them that lies in a box, which is the
            expectation for a random one of them; the "first" in row-major order alone; or "any".

    Raises:
        ValueError: the map's shape is not the image's, a name is unknown, or boxes are none.

    Example:
        from fidojax.metrics import pointing_game

        found = pointing_game(key, classifier, image, target, saliency, boxes=boxes, tolerance=1.0)
        hit = found.hit

    Reference: Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2018.
    """
    del key, classifier, target
    check_map(saliency, image)
    boxes = geometry.pixel_boxes(boxes, image.shape)
    check_name("ties", ties, TIES)
    near = _distance(boxes, saliency.shape) <= tolerance
    largest = saliency == saliency.max()
    if ties == "share":
        hit = (largest & near).sum() / largest.sum()
    elif ties == "first":
        hit = near.ravel()[saliency.argmax()].astype(saliency.dtype)
    else:
        hit = jnp.any(largest & near).astype(saliency.dtype)
    return PointingGame(_known(hit, saliency, boxes))


@of_one_image
def relevance_mass(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    boxes: Boxes,
    sign: str = "positive",
) -> RelevanceMass:
    """Share of the map's sum that lies in the boxes; NaN where the sum is 0. Higher is better.

    Key, classifier and target have no effect.

    Args:
        saliency: any map.
        boxes: the true boxes, half-open, in pixels.
        sign: sum the "positive" values only, the "absolute" values, or the "signed" values, whose
            ratio may lie outside [0, 1].

    Raises:
        ValueError: the map's shape is not the image's, the sign is unknown, or boxes are none.

    Example:
        from fidojax.metrics import relevance_mass

        found = relevance_mass(key, classifier, image, target, saliency, boxes=boxes)
        share_inside = found.share

    Reference: Arras, Osman, Samek, "CLEVR-XAI", 2022.
    """
    del key, classifier, target
    check_map(saliency, image)
    boxes = geometry.pixel_boxes(boxes, image.shape)
    check_name("sign", sign, SIGNS)
    mass = SIGNS[sign](saliency)
    within = jnp.where(geometry.inside(boxes, saliency.shape), mass, 0).sum()
    total = mass.sum()
    share = jnp.where(total == 0, jnp.nan, within / total)
    return RelevanceMass(_known(share, saliency, boxes))


@of_one_image
def relevance_rank(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    boxes: Boxes,
    count: int | None = None,
) -> RelevanceRank:
    """Share of the largest pixels that lies in the boxes: rank accuracy, or top-k intersection.

    In [0, 1]; higher is better. Where pixels tie for the last places, each counts with its chance
    of having one. Key, classifier and target have no effect.

    Args:
        saliency: any map.
        boxes: the true boxes, half-open, in pixels.
        count: the number of largest pixels; the number of pixels in the boxes when None.

    Raises:
        ValueError: the map's shape is not the image's, or boxes are none.

    Example:
        from fidojax.metrics import relevance_rank

        found = relevance_rank(key, classifier, image, target, saliency, boxes=boxes)
        rank_accuracy = found.share

    Reference: Arras, Osman, Samek, "CLEVR-XAI", 2022.
    """
    del key, classifier, target
    check_map(saliency, image)
    boxes = geometry.pixel_boxes(boxes, image.shape)
    within = geometry.inside(boxes, saliency.shape)
    number = within.sum() if count is None else jnp.asarray(count)
    last = jnp.sort(saliency, axis=None, descending=True)[jnp.maximum(number, 1) - 1]
    above, tied = saliency > last, saliency == last
    chance = (number - above.sum()) / tied.sum()
    found = (above & within).sum() + chance * (tied & within).sum()
    return RelevanceRank(_known(found / number, saliency, boxes))


@of_one_image
def roc_auc(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    boxes: Boxes,
) -> RocAuc:
    """The chance that a pixel of the boxes is above one outside, with ties counting half.

    In [0, 1]; higher is better. NaN where the boxes hold all pixels. Key, classifier and target
    have no effect.

    Args:
        saliency: any map.
        boxes: the true boxes, half-open, in pixels.

    Raises:
        ValueError: the map's shape is not the image's, or boxes are none.

    Example:
        from fidojax.metrics import roc_auc

        found = roc_auc(key, classifier, image, target, saliency, boxes=boxes)
        chance = found.auc
    """
    del key, classifier, target
    check_map(saliency, image)
    boxes = geometry.pixel_boxes(boxes, image.shape)
    within = geometry.inside(boxes, saliency.shape).ravel()
    values = saliency.ravel()
    outside = jnp.sort(jnp.where(within, jnp.inf, values))
    # Only pixels outside the boxes lie below a finite value of the boxes.
    below = jnp.searchsorted(outside, values, side="left")
    not_above = jnp.searchsorted(outside, values, side="right")
    beaten = jnp.where(within, (below + not_above) / 2, 0).sum()
    inside_count = within.sum()
    share = beaten / inside_count / (within.size - inside_count)
    return RocAuc(_known(share, saliency, boxes))


def _distance(boxes: Boxes, shape: tuple[int, ...]) -> Float[Array, "h w"]:
    """The distance of every pixel to the nearest box, 0 inside; infinite where there is none."""
    top, left, bottom, right = jnp.asarray(boxes).T[..., None]
    y, x = jnp.arange(shape[0]), jnp.arange(shape[1])
    rows = jnp.maximum(jnp.maximum(top - y, y - (bottom - 1)), 0)
    columns = jnp.maximum(jnp.maximum(left - x, x - (right - 1)), 0)
    distances = jnp.hypot(*(d.astype(jnp.float32) for d in (rows[:, :, None], columns[:, None, :])))
    real = geometry.area(jnp.asarray(boxes)) > 0
    return jnp.where(real[:, None, None], distances, jnp.inf).min(axis=0)


def _known(value: Scalar, saliency: Saliency, boxes: Boxes) -> Scalar:
    """The value, or NaN unless the map is finite and there is a true box."""
    real = jnp.any(geometry.area(jnp.asarray(boxes)) > 0) & jnp.all(jnp.isfinite(saliency))
    return jnp.where(real, value, jnp.nan)
