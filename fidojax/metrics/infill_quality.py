"""Infill quality: whether an infill restores the class, restores the picture, or copies pixels.

The class's probability on the filled picture is what FIDO's Figures 3 and 16 show. The error to the
true pixels and the share of copied pixels explain it: an infiller that repeats the pixels around a
hole may keep the class, too.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from fidojax.core import logits_of, mix, probability
from fidojax.types import Classifier, Image, Infiller, Mask, PRNGKey, Scalar, Target

TOLERANCE = 2.5 / 255
"""Colours of 8 bits within it differ by two levels at most; rounding decides nothing."""


class InfillQuality(NamedTuple):
    """The quality of the infill of one picture and mask; all values in [0, 1].

    Attributes:
        probability: p(target) on the picture with its dropped pixels filled in.
        absolute: mean absolute error on the dropped pixels; lower is better.
        rms: root mean square error on the dropped pixels; lower is better.
        copied: share of the dropped pixels that are copies of a nearest kept pixel, see `copied`.
        copied_within: share of them that are copies of any kept pixel in a window around them.
        image: "h w c", the filled picture.
    """

    probability: Scalar
    absolute: Scalar
    rms: Scalar
    copied: Scalar
    copied_within: Scalar
    image: Image


class Reconstruction(NamedTuple):
    """Errors over the dropped pixels and their colours, in [0, 1]; NaN where none is dropped."""

    absolute: Scalar
    rms: Scalar


def infill_quality(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    mask: Mask,
    *,
    infill: Infiller,
    tolerance: float | Scalar = TOLERANCE,
    window: int = 15,
) -> InfillQuality:
    """Fill the dropped pixels of one picture, and measure how well.

    Probabilities, brightness and shares in [0, 1].

    Args:
        mask: hard, 1 = keep, 0 = drop.
        infill: the infiller to judge.
        tolerance: largest difference per channel, in [0, 1], at which a colour counts as a copy.
        window: side in pixels of the window of `copied_within`, odd.

    Raises:
        ValueError: the mask's shape is not the image's, or the window is not odd and positive.

    Example:
        import infillers
        from fidojax.metrics import infill_quality

        found = infill_quality(key, classifier, image, target, mask, infill=infillers.local())
        error, copies = found.rms, found.copied

    Reference: FIDO Figures 3 and 16 (the probability).
    """
    if mask.shape != image.shape[:2]:
        raise ValueError(f"mask has shape {mask.shape}, expected {image.shape[:2]}")
    reference = infill(key, image, mask)
    seen = mix(image, mask, reference)
    error = reconstruction(image, mask, reference)
    return InfillQuality(
        probability(logits_of(classifier, seen[None])[0], target),
        error.absolute,
        error.rms,
        copied(image, mask, reference, tolerance=tolerance),
        copied(image, mask, reference, tolerance=tolerance, window=window),
        seen,
    )


def reconstruction(image: Image, mask: Mask, reference: Image) -> Reconstruction:
    """The error of the infill against the true pixels, where they are dropped; lower is better.

    Example:
        from fidojax.metrics import reconstruction

        found = reconstruction(image, mask, image**2)
        error = found.rms
    """
    dropped = mask == 0
    error = jnp.abs(reference - image)
    squared = _share(dropped, jnp.mean(error**2, axis=-1))
    return Reconstruction(_share(dropped, jnp.mean(error, axis=-1)), jnp.sqrt(squared))


def copied(
    image: Image,
    mask: Mask,
    reference: Image,
    *,
    tolerance: float | Scalar = TOLERANCE,
    window: int | None = None,
) -> Scalar:
    """The share of the dropped pixels whose infill is a naive copy of a kept pixel, in [0, 1].

    A copy lies within `tolerance`, in every channel, of the colour of the nearest kept pixel by
    Euclidean distance, or of any of them where several are equally near. With a `window` it lies
    within the tolerance of any kept pixel in the square window around it. In flat pictures many
    true colours count as copies, so compare with the share of the picture's own pixels,
    `copied(image, mask, image)`. NaN where no pixel is dropped, 0 where none is kept.

    The memory is that of a few pictures, whatever the window; the time is that of h passes over the
    picture, or of window squared passes with a window.

    Args:
        tolerance: largest difference per channel that counts as equal.
        window: side in pixels, odd; the nearest kept pixels only when None.

    Raises:
        ValueError: the window is not an odd positive number.
    """
    if window is not None and (window < 1 or window % 2 == 0):
        raise ValueError(f"window is {window}, expected an odd positive number of pixels")
    kept = mask > 0
    if window is None:
        same = _like_nearest(image, kept, reference, tolerance)
    else:
        same = _like_any(image, kept, reference, tolerance, window)
    return _share(~kept, same.astype(image.dtype))


def _like_nearest(
    image: Image, kept: Bool[Array, "h w"], reference: Image, tolerance: float | Scalar
) -> Bool[Array, "h w"]:
    """Whether each colour is that of a nearest kept pixel.

    Exact, and row by row: of the kept pixels of one row the nearest to a place in any row is the
    last one up to its column or the first one from there on.
    """
    height, width = kept.shape
    row, column = jnp.arange(height)[:, None], jnp.arange(width)
    # A row that keeps nothing stands farther away than any pixel of the picture.
    away = height + width
    before = jax.lax.cummax(jnp.where(kept, column, -away), axis=1)
    after = jax.lax.cummin(jnp.where(kept, column, width + away), axis=1, reverse=True)

    def look(found, source):
        nearest, same = found
        y, colours, *candidates = source
        for x in candidates:
            distance = (row - y) ** 2 + (column - x) ** 2
            alike = _alike(reference, colours[jnp.clip(x, 0, width - 1)], tolerance)
            tied = same | alike & (distance == nearest)
            same = jnp.where(distance < nearest, alike, tied)
            nearest = jnp.minimum(nearest, distance)
        return (nearest, same), None

    # Derived from the mask so that it varies with it under shard_map, too.
    start = 0 * kept + height**2 + width**2, kept & False
    (_, same), _ = jax.lax.scan(look, start, (jnp.arange(height), image, before, after))
    return same


def _like_any(
    image: Image,
    kept: Bool[Array, "h w"],
    reference: Image,
    tolerance: float | Scalar,
    window: int,
) -> Bool[Array, "h w"]:
    """Whether each colour is that of any kept pixel in the window around its place."""
    edge = (window // 2, window // 2)
    colours, there = jnp.pad(image, (edge, edge, (0, 0))), jnp.pad(kept, (edge, edge))

    def look(same, offset):
        y, x = offset // window, offset % window
        colour = jax.lax.dynamic_slice(colours, (y, x, jnp.zeros_like(y)), image.shape)
        seen = jax.lax.dynamic_slice(there, (y, x), kept.shape)
        return same | seen & _alike(reference, colour, tolerance), None

    same, _ = jax.lax.scan(look, kept & False, jnp.arange(window**2))
    return same


def _alike(one, other, tolerance):
    return jnp.all(jnp.abs(one - other) <= tolerance, axis=-1)


def _share(dropped: Bool[Array, "h w"], values: Mask) -> Scalar:
    """The mean over the dropped pixels."""
    return jnp.sum(jnp.where(dropped, values, 0)) / jnp.sum(dropped)
