"""Does a map lie on the object? Its tightest box and its pixels against the object's true boxes.

FIDO, "Explaining Image Classifiers by Counterfactual Generation", section 4.4 (Table 1, Figure 8),
and the common measures beside it. A picture may have several true boxes, see `fidojax.core.boxes`. Where
it has none, and where the map is not finite, the numbers are NaN.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fidojax.core import Boxes, check_name
from fidojax.core import boxes as geometry
from fidojax.types import Saliency, Scalar

RULES = ("absolute", "mean")
TIES = ("share", "first", "any")
SIGNS = {"positive": jax.nn.relu, "absolute": jnp.abs, "signed": jnp.asarray}


class Localisation(NamedTuple):
    """What `localisation` returns for one picture.

    Attributes:
        box: "4", the tightest box of the chosen pixels, half-open.
        iou: its intersection over union with the true box that it fits best, in [0, 1].
        hit: 1 where that is above one half, else 0. The WSL error is the share of zeros.
        outside: share of the chosen pixels outside all true boxes; NaN where none is chosen.
        chosen: share of the picture's pixels that are chosen.
    """

    box: Int[Array, "4"]
    iou: Scalar
    hit: Scalar
    outside: Scalar
    chosen: Scalar


def localisation(
    saliency: Saliency,
    boxes: Boxes,
    *,
    threshold: float | Scalar = 0.5,
    rule: str = "absolute",
    empty: str = "image",
    component: str = "all",
    overlap: float | Scalar = 0.5,
) -> Localisation:
    """Weakly supervised localisation (WSL) and the out-of-box proportion.

    The class need not be predicted: localisation alone is asked for.

    Args:
        saliency: any map for the rule "mean", one in [0, 1] for "absolute".
        boxes: the true ones, half-open, in pixels.
        threshold, rule: see `choose`.
        empty, component: see `fidojax.core.boxes.bounding_box`.
        overlap: a hit is an intersection over union above it.

    Raises:
        ValueError: an unknown name.

    Reference: FIDO section 4.4.
    """
    on = choose(saliency, threshold, rule=rule)
    box = geometry.bounding_box(on, empty=empty, component=component)
    iou = _known(geometry.intersection_over_union(box, boxes).max(), saliency, boxes)
    hit = jnp.where(jnp.isnan(iou), jnp.nan, iou > overlap)
    return Localisation(box, iou, hit, _known(out_of_box(on, boxes), saliency, boxes), on.mean())


def choose(
    saliency: Saliency, threshold: float | Scalar = 0.5, *, rule: str = "absolute"
) -> Bool[Array, "h w"]:
    """The pixels above the threshold.

    Args:
        threshold: a value of the map by the rule "absolute"; with "mean" a multiple, alpha, of the
            mean of the map after that has been brought to [0, 1]. A constant map has no pixel above
            its mean.
        rule: FIDO takes "absolute" for its own map and "mean" for gradients and their kin.

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
    """Share of the chosen pixels outside all boxes; NaN where none is chosen or there is no box.

    Reference: FIDO section 4.4, Figure 8.
    """
    within = geometry.inside(boxes, on.shape)
    return jnp.where(within.any(), (on & ~within).sum() / on.sum(), jnp.nan)


def pointing_game(
    saliency: Saliency, boxes: Boxes, *, tolerance: float | Scalar = 0.0, ties: str = "share"
) -> Scalar:
    """Whether the map's largest value lies in a true box: 1 or 0.

    Args:
        tolerance: in pixels; so far away from a box counts as in it. Zhang et al. have 15 for
            pictures of about 224 pixels.
        ties: where several pixels are largest: the "share" of them that lies in a box, which is
            what a random one of them would score; the "first" in row-major order alone; or "any".

    Raises:
        ValueError: an unknown name.

    Reference: Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2018.
    """
    check_name("ties", ties, TIES)
    near = _distance(boxes, saliency.shape) <= tolerance
    largest = saliency == saliency.max()
    if ties == "share":
        hit = (largest & near).sum() / largest.sum()
    elif ties == "first":
        hit = near.ravel()[saliency.argmax()].astype(saliency.dtype)
    else:
        hit = jnp.any(largest & near).astype(saliency.dtype)
    return _known(hit, saliency, boxes)


def relevance_mass(saliency: Saliency, boxes: Boxes, *, sign: str = "positive") -> Scalar:
    """Share of the map's sum that lies in the boxes; NaN where the sum is 0.

    Args:
        sign: "positive" values only, "absolute" ones, or "signed": the sums as they are, whose
            ratio need not be a share.

    Raises:
        ValueError: an unknown sign.

    Reference: Arras, Osman, Samek, "CLEVR-XAI", 2022.
    """
    check_name("sign", sign, SIGNS)
    mass = SIGNS[sign](saliency)
    within = jnp.where(geometry.inside(boxes, saliency.shape), mass, 0).sum()
    total = mass.sum()
    return _known(jnp.where(total == 0, jnp.nan, within / total), saliency, boxes)


def relevance_rank(saliency: Saliency, boxes: Boxes, *, count: int | None = None) -> Scalar:
    """Share of the largest pixels that lies in the boxes: rank accuracy, or top-k intersection.

    Of pixels that tie for the last places each counts with its chance to have one.

    Args:
        count: how many pixels; as many as the boxes have when None.

    Reference: Arras, Osman, Samek, "CLEVR-XAI", 2022.
    """
    within = geometry.inside(boxes, saliency.shape)
    number = within.sum() if count is None else jnp.asarray(count)
    last = jnp.sort(saliency, axis=None, descending=True)[jnp.maximum(number, 1) - 1]
    above, tied = saliency > last, saliency == last
    chance = (number - above.sum()) / tied.sum()
    found = (above & within).sum() + chance * (tied & within).sum()
    return _known(found / number, saliency, boxes)


def roc_auc(saliency: Saliency, boxes: Boxes) -> Scalar:
    """The chance that a pixel of the boxes is above one outside, ties counting half.

    NaN where the boxes hold all pixels.
    """
    within = geometry.inside(boxes, saliency.shape).ravel()
    values = saliency.ravel()
    outside = jnp.sort(jnp.where(within, jnp.inf, values))
    # Below a finite value of the boxes there is nothing but what is outside.
    below = jnp.searchsorted(outside, values, side="left")
    not_above = jnp.searchsorted(outside, values, side="right")
    beaten = jnp.where(within, (below + not_above) / 2, 0).sum()
    inside_count = within.sum()
    return _known(beaten / inside_count / (within.size - inside_count), saliency, boxes)


def _distance(boxes: Boxes, shape: tuple[int, ...]) -> Float[Array, "h w"]:
    """Of every pixel to the nearest box, 0 inside; infinite where there is none."""
    top, left, bottom, right = jnp.asarray(boxes).T[..., None]
    y, x = jnp.arange(shape[0]), jnp.arange(shape[1])
    rows = jnp.maximum(jnp.maximum(top - y, y - (bottom - 1)), 0)
    columns = jnp.maximum(jnp.maximum(left - x, x - (right - 1)), 0)
    distances = jnp.hypot(*(d.astype(jnp.float32) for d in (rows[:, :, None], columns[:, None, :])))
    real = geometry.area(jnp.asarray(boxes)) > 0
    return jnp.where(real[:, None, None], distances, jnp.inf).min(axis=0)


def _known(value: Scalar, saliency: Saliency, boxes: Boxes) -> Scalar:
    """NaN unless the map is finite and there is a true box."""
    real = jnp.any(geometry.area(jnp.asarray(boxes)) > 0) & jnp.all(jnp.isfinite(saliency))
    return jnp.where(real, value, jnp.nan)
