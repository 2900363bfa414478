"""Judge maps of labelled pictures by where they lie and by what their box shows."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from eval.subject import Drawn
from fidojax import metrics
from fidojax.data import padded
from fidojax.engine import in_batches
from fidojax.metrics import out_of_box
from fidojax.types import Classifier

BATCH = 64
"""Pictures per compiled call."""


class Judged(NamedTuple):
    """The numbers of the maps of one method.

    Attributes:
        boxes: "n 4", the boxes found in the maps, half-open in pixels.
        numbers: one per picture by name, NaN where there is none: WSL `error`, saliency `metric`,
            share `outside` the box, `pointing` game, share of the `mass`, `rank` accuracy, `area`
            of the found box, its `iou`, and whether the map chooses no pixel, `empty`.
        alphas: for the pictures in even and in odd places; empty for the rule "absolute".
    """

    boxes: np.ndarray
    numbers: Mapping[str, np.ndarray]
    alphas: tuple[float, ...]


def judge(
    classifier: Classifier,
    drawn: Drawn,
    maps: np.ndarray,
    rule: str,
    *,
    empty: str = "image",
    component: str = "all",
    interpolation: str = "linear",
    tolerance: float = 0.0,
) -> Judged:
    """Compute all numbers of the maps.

    Args:
        drawn: the pictures of the maps.
        rule: "absolute" cuts at one half, "mean" at alpha times the mean: the alpha of the pictures
            in even places is that of the least error in odd ones, and the other way round.
        empty, component, interpolation, tolerance: as `fidojax.metrics` takes them.
    """
    boxes = padded(drawn.boxes)
    thresholds = np.full(len(maps), 0.5, np.float32)
    alphas: tuple[float, ...] = ()
    if rule == "mean":
        half = np.arange(len(maps)) % 2
        found = [
            _search(maps[half != i], boxes[half != i], empty=empty, component=component)
            for i in (0, 1)
        ]
        alphas = tuple(round(float(search.alpha), 3) for search in found)
        thresholds = np.array(alphas, np.float32)[half]

    def measure(at):
        return _measure(
            classifier, drawn.images[at], drawn.labels[at], maps[at], boxes[at], thresholds[at],
            tolerance, rule=rule, empty=empty, component=component, interpolation=interpolation,
        )  # fmt: skip

    columns = in_batches(measure, len(maps), BATCH)
    return Judged(columns.pop("box"), columns, alphas)


_search = jax.jit(metrics.alpha_search, static_argnames=("empty", "component"))


@partial(jax.jit, static_argnames=("rule", "empty", "component", "interpolation"))
def _measure(
    classifier, images, labels, maps, boxes, thresholds, tolerance,
    *, rule, empty, component, interpolation,
):  # fmt: skip
    def measure(image, label, saliency, own, threshold):
        choice = {"threshold": threshold, "rule": rule, "empty": empty, "component": component}
        given = jax.random.key(0), classifier, image, label, saliency
        place = metrics.localisation(*given, boxes=own, **choice)
        shown = metrics.saliency_metric(*given, interpolation=interpolation, **choice)
        return {
            "box": place.box,
            "error": 1 - place.hit,
            "metric": shown.value,
            "outside": place.outside,
            "pointing": metrics.pointing_game(*given, boxes=own, tolerance=tolerance).hit,
            "mass": metrics.relevance_mass(*given, boxes=own).share,
            "rank": metrics.relevance_rank(*given, boxes=own).share,
            "area": shown.area,
            "iou": place.iou,
            "empty": (place.chosen == 0).astype(jnp.float32),
        }

    return jax.vmap(measure)(images, labels, maps, boxes, thresholds)


def outside(on: Bool[np.ndarray, "h w"], boxes: np.ndarray | None) -> float:
    """Share of the chosen pixels outside the union of the boxes; NaN without boxes or pixels.

    Args:
        boxes: "b 4", half-open (top, left, bottom, right) in pixels.

    Reference: FIDO section 4.4, Figure 8.
    """
    return float(_out_of_box(jnp.asarray(on), jnp.asarray(padded([boxes])[0])))


_out_of_box = jax.jit(out_of_box)
