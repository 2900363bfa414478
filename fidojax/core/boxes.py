"""Boxes in a picture: half-open (top, left, bottom, right) in pixels.

Pixels are the only unit: no function takes shares of the sides. A box without area holds no pixel,
so that zeros pad pictures with fewer boxes to one shape.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Num

from fidojax.core.checks import check_name

Box = Num[Array, "4"]
"""Half-open (top, left, bottom, right), in pixels."""
Boxes = Num[Array, "b 4"]
"""The boxes of one image, as `Box`."""

EMPTY = ("image", "none")
"""What the box of an empty mask is: the whole image, or none."""
COMPONENTS = ("all", "largest")
"""The connected components of a mask that its box encloses."""


def check_boxes(boxes: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless these are boxes in pixels of an image of this height and width.

    Where the values are traced, only the shape is checked: `pixel_boxes` then drops what is none.

    Args:
        boxes: "... b 4".
        shape: of the image, height and width first.

    Raises:
        ValueError: another shape than "b 4"; values that are no numbers, not finite or not in
            order; shares of the sides; a box that lies outside of the image.
    """
    expected = "expected (b, 4): top, left, bottom, right in pixels"
    if np.ndim(boxes) < 2 or np.shape(boxes)[-1] != 4:
        raise ValueError(f"boxes have shape {np.shape(boxes)}, {expected}")
    if isinstance(boxes, Tracer):
        return
    found = np.asarray(boxes).reshape(-1, 4)
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise ValueError(f"boxes hold {found.dtype} that are not finite numbers, {expected}")
    height, width = shape[:2]
    top, left, bottom, right = found.T
    for fault, why in (
        ((top > bottom) | (left > right), "is not in order"),
        (
            (top < bottom)
            & (left < right)
            & ((top >= height) | (left >= width) | (bottom <= 0) | (right <= 0)),
            f"lies outside of the {height} x {width} image",
        ),
    ):
        if fault.any():
            raise ValueError(f"box {found[fault][0].tolist()} {why}, {expected}")
    shares = found.dtype.kind == "f" and 0 < found.max(initial=0) <= 1 and max(shape[:2]) > 1
    if shares:
        raise ValueError(f"boxes lie within one pixel, as shares of the sides do; {expected}")


def pixel_boxes(boxes: Boxes, shape: tuple[int, ...]) -> Int[Array, "b 4"]:
    """Return boxes clipped to an image and to whole pixels; four zeros where no pixel is left.

    A pixel belongs to a box if its row and its column do: top <= row < bottom, left <= column <
    right. All functions of boxes then see the same pixels.

    Raises:
        ValueError: as `check_boxes`.
    """
    check_boxes(boxes, shape)
    found = jnp.asarray(boxes)
    whole = jnp.clip(jnp.ceil(found), 0, jnp.array(shape[:2] * 2)).astype(jnp.int32)
    real = (area(whole) > 0) & ~jnp.isnan(found).any(axis=-1)
    return jnp.where(real[:, None], whole, 0)


def inside(boxes: Boxes, shape: tuple[int, ...]) -> Bool[Array, "h w"]:
    """Return which pixels lie in the union of the boxes."""
    top, left, bottom, right = jnp.asarray(boxes).T[..., None]
    y, x = jnp.arange(shape[0]), jnp.arange(shape[1])
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
    return jnp.any(rows[:, :, None] & columns[:, None, :], axis=0)


def bounding_box(
    on: Bool[Array, "h w"], *, empty: str = "image", component: str = "all"
) -> Int[Array, "4"]:
    """Return the smallest box that holds the chosen pixels.

    Args:
        empty: the box when no pixel is chosen: the whole "image", or four zeros for "none".
        component: "all" pixels, as FIDO, or those of the "largest" connected component, as Zolna
            et al. 2020, see `largest_component`.

    Raises:
        ValueError: an unknown name.
    """
    check_name("empty", empty, EMPTY)
    check_name("component", component, COMPONENTS)
    if component == "largest":
        on = largest_component(on)
    height, width = on.shape
    rows, columns = on.any(axis=1), on.any(axis=0)
    first = jnp.stack([rows.argmax(), columns.argmax()])
    last = jnp.stack([height - rows[::-1].argmax(), width - columns[::-1].argmax()])
    whole = [0, 0, height, width] if empty == "image" else [0, 0, 0, 0]
    return jnp.where(on.any(), jnp.concatenate([first, last]), jnp.array(whole))


def area(boxes: Num[Array, "*n 4"]) -> Num[Array, "*n"]:
    """Return the area of each box in pixels, at least 0."""
    return jnp.prod(jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def intersection_over_union(box: Box, boxes: Boxes) -> Float[Array, " b"]:
    """Return the IoU of a box with each other box, in [0, 1]; 0 where neither has an area."""
    box, boxes = jnp.asarray(box), jnp.asarray(boxes)
    first = jnp.maximum(box[:2], boxes[:, :2])
    last = jnp.minimum(box[2:], boxes[:, 2:])
    shared = area(jnp.concatenate([first, last], axis=1))
    union = area(box) + area(boxes) - shared
    return jnp.where(union > 0, shared / union, 0.0)


def largest_component(on: Bool[Array, "h w"]) -> Bool[Array, "h w"]:
    """Return the largest set of chosen pixels that are connected by their sides.

    Of equally large components it is the one with the first pixel in row-major order.
    """
    nowhere = on.size
    own = jnp.where(on, jnp.arange(on.size).reshape(on.shape), nowhere)

    def spread(state):
        """Give every pixel the lowest label around it, and then the label of that pixel."""
        labels, _ = state
        around = jnp.pad(labels, 1, constant_values=nowhere)
        near = jnp.stack(
            [labels, around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]]
        ).min(axis=0)
        lowest = jnp.where(on, near, nowhere)
        lowest = jnp.append(lowest.ravel(), nowhere)[lowest]
        return lowest, jnp.any(lowest != labels)

    labels, _ = jax.lax.while_loop(lambda state: state[1], spread, (own, jnp.array(True)))
    sizes = jnp.zeros(nowhere, int).at[labels].add(1, mode="drop")
    return on & (labels == sizes.argmax())
