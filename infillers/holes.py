"""Masks with holes, 1 = keep and 0 = drop, for the training and the evaluation of infillers."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fidojax.core import check_count
from fidojax.types import Mask, PRNGKey, Scalar


def random_pixels(key: PRNGKey, shape: tuple[int, int], keep: float | Scalar = 0.5) -> Mask:
    """Keep each pixel independently, with probability `keep`.

    Reference: VDSM section 4.3; FIDO appendix A.6.
    """
    return jax.random.bernoulli(key, keep, shape).astype(jnp.float32)


def rectangle(
    key: PRNGKey, shape: tuple[int, int], sides: tuple[int, int] | Int[Array, "2"]
) -> Mask:
    """Drop one rectangle at a uniformly random place inside the picture.

    Args:
        sides: height and width, at least 1 and at most the picture's; may be traced.
    """
    top, left = jax.random.randint(key, (2,), 0, jnp.asarray(shape) - jnp.asarray(sides) + 1)
    return box(shape, top, left, sides)


def centred(shape: tuple[int, int], part: float = 0.25) -> Mask:
    """Drop a centred rectangle of the picture's proportions and `part` of its area.

    Raises:
        ValueError: part is not in (0, 1].
    """
    if not 0 < part <= 1:
        raise ValueError(f"part is {part}, expected a share of the area in (0, 1]")
    height, width = (round(part**0.5 * side) for side in shape)
    return box(shape, (shape[0] - height) // 2, (shape[1] - width) // 2, (height, width))


def free_form(
    key: PRNGKey,
    shape: tuple[int, int],
    strokes: int = 4,
    bends: int = 8,
    width: tuple[float, float] = (0.06, 0.14),
    length: tuple[float, float] = (0.05, 0.25),
) -> Mask:
    """Drop brush strokes: bent lines with round ends, from random places in random directions.

    Args:
        strokes: the number of lines.
        bends: the number of straight parts of each line.
        width: the range of a line's width, as a share of the shorter side.
        length: the range of a straight part's length, as a share of the shorter side.

    Raises:
        ValueError: strokes or bends is below 1.
    """
    check_count(strokes=strokes, bends=bends)
    # One draw for all, since each takes most of a second to compile on the CPU.
    draws = jax.random.uniform(key, (strokes, 3 + 2 * bends))
    place, thick, turns, reach = jnp.split(draws, (2, 3, 3 + bends), axis=1)
    side = min(shape)
    start = place[:, None] * jnp.asarray(shape)
    # Each part turns by up to 72 degrees from the one before.
    turns = (2 * turns - 1) * jnp.where(jnp.arange(bends) == 0, jnp.pi, 0.4 * jnp.pi)
    angle = jnp.cumsum(turns, axis=1)
    reach = side * (length[0] + (length[1] - length[0]) * reach[..., None])
    parts = reach * jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    ends = jnp.concatenate([start, start + jnp.cumsum(parts, axis=1)], axis=1)
    radius = 0.5 * side * (width[0] + (width[1] - width[0]) * thick)
    near = _distance(shape, ends[:, :-1].reshape(-1, 2), parts.reshape(-1, 2))
    touched = near <= jnp.repeat(radius, bends)[:, None, None]
    return 1.0 - jnp.any(touched, axis=0).astype(jnp.float32)


def blobs(
    key: PRNGKey, shape: tuple[int, int], keep: float | Scalar, cells: float | Scalar = 8.0
) -> Mask:
    """Keep the highest values of smooth noise: round patches, as in a mask that FIDO finds.

    Args:
        keep: the share of pixels kept, in [0, 1]; may be traced.
        cells: the number of noise cells along a side, at most 64: the more, the smaller the
            patches; may be traced.
    """
    noise = jax.random.normal(key, (_NODES, _NODES))
    rows, columns = (_smoothing(side, cells) for side in shape)
    smooth = rows @ noise @ columns.T
    return (smooth >= jnp.quantile(smooth, 1.0 - keep)).astype(jnp.float32)


_NODES = 144
"""Nodes of the noise grid along a side."""


def _smoothing(side: int, cells: float | Scalar) -> Float[Array, "side nodes"]:
    """Return the weights of the noise's nodes at each pixel: a Gaussian of half a cell."""
    pixels = (jnp.arange(side) + 0.5) / side
    weights = jnp.exp(-2.0 * ((pixels[:, None] - jnp.linspace(0.0, 1.0, _NODES)) * cells) ** 2)
    # Smooth noise is as strong at the border as inside.
    return weights / jnp.linalg.norm(weights, axis=1, keepdims=True)


def box(
    shape: tuple[int, int],
    top: int | Int[Array, ""],
    left: int | Int[Array, ""],
    sides: tuple[int, int] | Int[Array, "2"],
) -> Mask:
    """Drop the rectangle [top, top + height) x [left, left + width)."""
    row, column = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None, :]
    height, width = sides
    inside = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
    return 1.0 - inside.astype(jnp.float32)


def _distance(
    shape: tuple[int, int], start: Float[Array, "n 2"], part: Float[Array, "n 2"]
) -> Float[Array, "n h w"]:
    """Return the distance of each pixel from each straight part, in pixels."""
    row, column = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None, :]
    y, x = row - start[:, 0, None, None], column - start[:, 1, None, None]
    dy, dx = part[:, 0, None, None], part[:, 1, None, None]
    along = jnp.clip((y * dy + x * dx) / jnp.maximum(dy**2 + dx**2, 1e-12), 0.0, 1.0)
    return jnp.hypot(y - along * dy, x - along * dx)
