"""Boxes: one unit, clipped once, the same pixels for every metric, and no impossible ones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import fidojax
from fidojax import metrics
from fidojax.core import pixel_boxes
from fidojax.metrics import METRIC_ROWS, METRICS

BOXED = [name for name, row in METRIC_ROWS.items() if row.boxes]
SHAPE = (7, 9)
OVER = [
    ([[-3, -3, 3, 3]], [[0, 0, 3, 3]]),
    ([[4, 5, 70, 90]], [[4, 5, 7, 9]]),
    ([[-5, 2, 50, 4], [1, -1, 3, 30]], [[0, 2, 7, 4], [1, 0, 3, 9]]),
    ([[0.5, 1.2, 3.4, 4.0]], [[1, 2, 4, 4]]),  # the pixels whose row and column are within
    ([[1.0, 2.0, 4.0, 4.0]], [[1, 2, 4, 4]]),
]
"""Boxes, and the same pixels as boxes inside the picture."""


def classifier(images):
    return jnp.zeros((len(images), 2))


def a_map(seed: int = 0):
    return jnp.asarray(np.random.default_rng(seed).random(SHAPE, np.float32))


def numbers(name: str, boxes: Any, saliency=None) -> list[np.ndarray]:
    saliency = a_map() if saliency is None else saliency
    picture = jnp.zeros((*SHAPE, 1))
    given = jax.random.key(0), Partial(classifier), picture, 0, saliency
    return [np.asarray(leaf) for leaf in METRICS[name](*given, boxes=boxes)]


@pytest.mark.parametrize(("boxes", "clipped"), OVER)
@pytest.mark.parametrize("name", BOXED)
def test_a_box_is_the_pixels_that_it_holds(name, boxes, clipped):
    found, expected = (numbers(name, jnp.array(own)) for own in (boxes, clipped))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    traced = jax.jit(lambda own: numbers_traced(name, own))(jnp.array(boxes))
    for one, other in zip(traced, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def numbers_traced(name, boxes):
    picture = jnp.zeros((*SHAPE, 1))
    given = jax.random.key(0), Partial(classifier), picture, 0, a_map()
    return tuple(METRICS[name](*given, boxes=boxes))


@pytest.mark.parametrize(("boxes", "clipped"), OVER[:2])
def test_overlap_and_mass_agree_on_the_map_of_a_box(boxes, clipped):
    """Of a map that is 1 on the pixels of a box, both are 1."""
    (top, left, bottom, right), = clipped  # fmt: skip
    saliency = jnp.zeros(SHAPE).at[top:bottom, left:right].set(1)
    given = jax.random.key(0), Partial(classifier), jnp.zeros((*SHAPE, 1)), 0
    boxes = jnp.array(boxes)
    assert float(metrics.localisation(*given, saliency, boxes=boxes).iou) == 1
    assert float(metrics.relevance_mass(*given, saliency, boxes=boxes).share) == 1
    found = fidojax.object_box(*given, boxes=boxes).saliency
    np.testing.assert_array_equal(found, saliency)


def test_what_a_traced_box_lacks_makes_it_no_box():
    wrong = jnp.array([[np.nan, 0, 3, 3], [5, 5, 2, 2], [7, 0, 9, 9], [0, -9, 7, 0], [1, 1, 3, 3]])
    found = jax.jit(lambda own: pixel_boxes(own, SHAPE))(wrong)
    np.testing.assert_array_equal(found, [[0] * 4] * 4 + [[1, 1, 3, 3]])


IMPOSSIBLE = [
    ([[0.1, 0.2, 0.9, 1.0]], "boxes lie within one pixel, as shares of the sides do"),
    ([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]], "as shares of the sides do"),
    ([[5, 2, 3, 4]], r"box \[5, 2, 3, 4\] is not in order"),
    ([[0, 0, 2, 2], [7, 0, 9, 3]], r"box \[7, 0, 9, 3\] lies outside of the 7 x 9 image"),
    ([[0, -4, 2, 0]], r"box \[0, -4, 2, 0\] lies outside of the 7 x 9 image"),
    ([[0, 0, np.inf, 3]], "boxes hold float32 that are not finite numbers"),
    ([[0, np.nan, 2, 3]], "boxes hold float32 that are not finite numbers"),
]


@pytest.mark.parametrize(("boxes", "said"), IMPOSSIBLE)
@pytest.mark.parametrize("name", [*BOXED, "object_box", "explain_batch", "measure_batch", "alpha"])
def test_impossible_boxes_are_refused(name, boxes, said):
    boxes = jnp.array(boxes)
    images, maps = np.zeros((1, *SHAPE, 1), np.float32), np.asarray(a_map())[None]
    given = Partial(classifier), images, [0]
    calls = {
        "object_box": lambda: fidojax.object_box(
            jax.random.key(0), Partial(classifier), images[0], 0, boxes=boxes
        ),
        "explain_batch": lambda: fidojax.explain_batch(
            "object_box", *given, each={"boxes": boxes[None]}
        ),
        "measure_batch": lambda: fidojax.measure_batch(
            "relevance_mass", *given, maps, boxes=boxes[None]
        ),
        "alpha": lambda: metrics.alpha_search(jnp.asarray(maps), boxes[None]),
    }
    with pytest.raises(ValueError, match=f"{said}.*expected .b, 4.: top, left, bottom, right"):
        calls.get(name, lambda: numbers(name, boxes))()


def test_boxes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"boxes have shape \(1, 3\), expected"):
        fidojax.measure_batch(
            "relevance_mass", Partial(classifier), np.zeros((1, *SHAPE, 1)), [0],
            np.asarray(a_map())[None], boxes=np.array([[0, 0, 2]]),
        )  # fmt: skip
