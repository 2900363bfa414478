"""Boxes in a picture: half-open (top, left, bottom, right) in pixels.

A box without area holds no pixel, so that zeros pad pictures with fewer boxes to one shape.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from fidojax.core.checks import check_name

Box = Num[Array, "4"]
Boxes = Num[Array, "b 4"]

EMPTY = ("image", "none")
COMPONENTS = ("all", "largest")


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
