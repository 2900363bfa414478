"""Masks with holes, 1 = keep and 0 = drop: what infillers are trained and measured on."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fidojax.types import Mask, PRNGKey, Scalar


def random_pixels(key: PRNGKey, shape: tuple[int, int], keep: float | Scalar = 0.5) -> Mask:
    """Each pixel is kept with probability `keep`, independently.

    Reference: VDSM section 4.3; FIDO appendix A.6.
    """
    return jax.random.bernoulli(key, keep, shape).astype(jnp.float32)


def rectangle(
    key: PRNGKey, shape: tuple[int, int], sides: tuple[int, int] | Int[Array, "2"]
) -> Mask:
    """One hole of `sides` (height, width) at a uniform place fully inside; sides may be traced."""
    top, left = jax.random.randint(key, (2,), 0, jnp.asarray(shape) - jnp.asarray(sides) + 1)
    return box(shape, top, left, sides)


def centred(shape: tuple[int, int], part: float = 0.25) -> Mask:
    """One centred hole of the picture's own proportions that takes `part` of its area."""
    sides = np.rint(np.sqrt(part) * np.asarray(shape)).astype(int)
    top, left = (np.asarray(shape) - sides) // 2
    return box(shape, top, left, sides)


def free_form(
    key: PRNGKey,
    shape: tuple[int, int],
    strokes: int = 4,
    bends: int = 8,
    width: tuple[float, float] = (0.06, 0.14),
    length: tuple[float, float] = (0.05, 0.25),
) -> Mask:
    """Brush strokes: bent lines with round ends, each from a random place in a random direction.

    Args:
        strokes: how many lines.
        bends: straight parts of each line.
        width: range of a line's width, as a share of the shorter side.
        length: range of a straight part's length, as a share of the shorter side.
    """
    place_key, turn_key, length_key, width_key = jax.random.split(key, 4)
    side = min(shape)
    start = jax.random.uniform(place_key, (strokes, 1, 2)) * jnp.asarray(shape)
    # A line wanders: each part turns by up to 72 degrees from the one before.
    turns = jax.random.uniform(turn_key, (strokes, bends), minval=-1.0, maxval=1.0)
    turns = turns * jnp.where(jnp.arange(bends) == 0, jnp.pi, 0.4 * jnp.pi)
    angle = jnp.cumsum(turns, axis=1)
    low, high = length
    reach = side * jax.random.uniform(length_key, (strokes, bends, 1), minval=low, maxval=high)
    parts = reach * jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    ends = jnp.concatenate([start, start + jnp.cumsum(parts, axis=1)], axis=1)
    low, high = width
    radius = 0.5 * side * jax.random.uniform(width_key, (strokes, 1), minval=low, maxval=high)
    near = _distance(shape, ends[:, :-1].reshape(-1, 2), parts.reshape(-1, 2))
    touched = near <= jnp.repeat(radius, bends)[:, None, None]
    return 1.0 - jnp.any(touched, axis=0).astype(jnp.float32)


def box(
    shape: tuple[int, int],
    top: int | Int[Array, ""],
    left: int | Int[Array, ""],
    sides: tuple[int, int] | Int[Array, "2"],
) -> Mask:
    """The hole [top, top + height) x [left, left + width)."""
    row, column = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None, :]
    height, width = sides
    inside = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
    return 1.0 - inside.astype(jnp.float32)


def _distance(
    shape: tuple[int, int], start: Float[Array, "n 2"], part: Float[Array, "n 2"]
) -> Float[Array, "n h w"]:
    """Of each pixel from each straight part, in pixels."""
    row, column = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None, :]
    y, x = row - start[:, 0, None, None], column - start[:, 1, None, None]
    dy, dx = part[:, 0, None, None], part[:, 1, None, None]
    along = jnp.clip((y * dy + x * dx) / jnp.maximum(dy**2 + dx**2, 1e-12), 0.0, 1.0)
    return jnp.hypot(y - along * dy, x - along * dx)
