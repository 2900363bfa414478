"""Deletion and insertion: how few pixels, in the map's order, take the evidence or bring it.

FIDO, "Explaining Image Classifiers by Counterfactual Generation", section 4.3 (Figures 10 and 18):
pixels go by their saliency, and an infiller that sees the rest stands for what is gone. With
`infillers.mean` these are the curves of RISE and of pixel flipping, with `infillers.road` ROAD. A
pixel is a place of the picture: its colours go together.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fidojax.core import check_count, check_name, masked_scores, rank
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GRIDS: dict[str, Callable[[int, int], np.ndarray]] = {
    "even": lambda pixels, steps: np.linspace(0, pixels, steps + 1),
    "geometric": lambda pixels, steps: np.append(0, np.geomspace(1, pixels, steps)),
}
"""Numbers of pixels after each step: in equal steps, or from a single one by equal factors."""
AXES = ("share", "step")
TIES = ("row", "random")
EMPTY = ("nan", "order")


class Deletion(NamedTuple):
    """What `deletion` and `insertion` return for one picture.

    All but `pixels` is NaN where the map has no order: where it is not finite or, by the default of
    `empty`, constant.

    Attributes:
        curve: "points", the score after each step, step 0 first.
        pixels: "points", number of pixels that are gone (deletion) or shown (insertion), 0 first
            and all of them last.
        progress: "points", the curve brought to 0 at its start and 1 at its end: FIDO's normalised
            suppression. NaN where the whole picture does not score above the infill alone, since
            there is nothing to suppress.
        needed: "levels", number of pixels at which the progress reaches each level first, linear
            between steps; NaN where the progress is.
        auc: area under `curve`; lower is better for deletion, higher for insertion.
    """

    curve: Float[Array, " points"]
    pixels: Int[Array, " points"]
    progress: Float[Array, " points"]
    needed: Float[Array, " levels"]
    auc: Scalar


def deletion(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    steps: int = 100,
    grid: str = "even",
    levels: Sequence[float] | Float[Array, " levels"] = LEVELS,
    axis: str = "share",
    step0: bool = True,
    ties: str = "row",
    empty: str = "nan",
    score: str = "log_odds",
    chunk: int = 16,
) -> Deletion:
    """Delete the most salient pixels first; a good map needs few of them.

    Args:
        infill: fills what is gone, and sees the pixels that remain.
        steps: points of the curve after the whole picture; on small pictures fewer, since points
            of equally many pixels are one.
        grid: how pixels are divided among the steps, a name in `GRIDS`.
        levels: of the progress, in (0, 1].
        axis: of the area, from the first point that it counts to the last: "share" has length 1, so
            that the area is the mean height; "step" has 1 per step, as pixel flipping has it.
        step0: the area counts the untouched start. RISE counts it, Quantus does not.
        ties: tied pixels go in "row"-major order, or in a "random" one, from the key.
        empty: a constant map is "nan", or is taken in the "order" of its ties.
        score: a name in `fidojax.core.scores.SCORES`.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: the map's shape is not the image's, an unknown name, or a count below 1.

    Reference: FIDO section 4.3; Petsiuk et al. 2018, section 4.3 (the area).
    """
    return _curve(
        key, classifier, image, target, saliency, "deletion", infill=infill, steps=steps, grid=grid,
        levels=levels, axis=axis, step0=step0, ties=ties, empty=empty, score=score, chunk=chunk,
    )  # fmt: skip


def insertion(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    steps: int = 100,
    grid: str = "even",
    levels: Sequence[float] | Float[Array, " levels"] = LEVELS,
    axis: str = "share",
    step0: bool = True,
    ties: str = "row",
    empty: str = "nan",
    score: str = "log_odds",
    chunk: int = 16,
) -> Deletion:
    """Show the most salient pixels first, on nothing but infill; a good map needs few of them.

    Options and errors are those of `deletion`.

    Reference: Petsiuk et al. 2018, section 4.3.
    """
    return _curve(
        key, classifier, image, target, saliency, "insertion", infill=infill, steps=steps,
        grid=grid, levels=levels, axis=axis, step0=step0, ties=ties, empty=empty, score=score,
        chunk=chunk,
    )  # fmt: skip


def _curve(
    key, classifier, image, target, saliency, kind, *,
    infill, steps, grid, levels, axis, step0, ties, empty, score, chunk,
) -> Deletion:  # fmt: skip
    if saliency.shape != image.shape[:2]:
        raise ValueError(f"saliency has shape {saliency.shape}, expected {image.shape[:2]}")
    check_name("grid", grid, GRIDS)
    check_name("axis", axis, AXES)
    check_name("ties", ties, TIES)
    check_name("empty", empty, EMPTY)
    check_count(steps=steps)
    pixels = jnp.asarray(np.unique(np.round(GRIDS[grid](saliency.size, steps)).astype(int)))
    infill_key, order_key = jax.random.split(key)
    place = rank(saliency) if ties == "row" else _shuffled_rank(order_key, saliency)

    def keep(step):
        chosen = place < pixels[step]
        return (~chosen if kind == "deletion" else chosen).astype(image.dtype)

    curve = masked_scores(
        infill_key, classifier, image, target, keep, len(pixels),
        infill=infill, score=score, chunk=chunk,
    )  # fmt: skip
    ordered = jnp.all(jnp.isfinite(saliency))
    if empty == "nan":
        ordered &= jnp.ptp(saliency) > 0
    curve = jnp.where(ordered, curve, jnp.nan)
    fall = curve[0] - curve[-1] if kind == "deletion" else curve[-1] - curve[0]
    # Compiled, a division by itself may be less than 1, and the last level was never reached.
    progress = ((curve - curve[0]) / (curve[-1] - curve[0])).at[-1].set(1)
    progress = jnp.where(fall > 0, progress, jnp.nan)
    needed = jax.vmap(lambda level: reached(progress, pixels, level))(jnp.asarray(levels))
    return Deletion(curve, pixels, progress, needed, area(curve, pixels, axis=axis, step0=step0))


def reached(
    progress: Float[Array, " points"], pixels: Int[Array, " points"], level: float | Scalar
) -> Scalar:
    """Where the progress, which starts at 0 and ends at 1, is at `level` first."""
    after = jnp.maximum(jnp.argmax(progress >= level), 1)
    low, high = progress[after - 1], progress[after]
    share = jnp.clip((level - low) / (high - low), 0, 1)
    return pixels[after - 1] + share * (pixels[after] - pixels[after - 1])


def area(
    curve: Float[Array, " points"],
    pixels: Int[Array, " points"],
    *,
    axis: str = "share",
    step0: bool = True,
) -> Scalar:
    """Under the curve, by trapezoids; `axis` and `step0` as `deletion` has them."""
    check_name("axis", axis, AXES)
    if not step0:
        curve, pixels = curve[1:], pixels[1:]
    if axis == "step":
        return jnp.trapezoid(curve)
    return jnp.trapezoid(curve, pixels.astype(curve.dtype)) / (pixels[-1] - pixels[0])


def _shuffled_rank(key: PRNGKey, saliency: Saliency) -> Int[Array, "h w"]:
    at = jax.random.permutation(key, saliency.size)
    places = rank(saliency.reshape(1, -1)[:, at])[0]
    return jnp.zeros_like(places).at[at].set(places).reshape(saliency.shape)
