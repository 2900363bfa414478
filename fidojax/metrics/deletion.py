"""Deletion and insertion: how few pixels, in the map's order, remove the evidence or restore it.

FIDO, "Explaining Image Classifiers by Counterfactual Generation", section 4.3 (Figures 10 and 18):
pixels are removed in the order of their saliency, and an infiller that sees the remaining pixels
fills them. With `infillers.mean` the curves are those of RISE and of pixel flipping, with
`infillers.road` those of ROAD. A pixel is a place of the picture: its colours go together.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fidojax.core import check_count, check_name, of_one_image, rank, with_options_of
from fidojax.metrics.checks import check_map
from fidojax.metrics.curve import has_order, score_curve
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The levels of the progress at which the pixels needed are counted."""
GRIDS: dict[str, Callable[[int, int], np.ndarray]] = {
    "even": lambda pixels, steps: np.linspace(0, pixels, steps + 1),
    "geometric": lambda pixels, steps: np.append(0, np.geomspace(1, pixels, steps)),
}
"""Numbers of pixels after each step: in equal steps, or from a single pixel by equal factors."""
AXES = ("share", "step")
TIES = ("row", "random")
EMPTY = ("nan", "order")


class Deletion(NamedTuple):
    """The curve of `deletion` or `insertion` for one picture, and its summaries.

    All but `pixels` is NaN where the map has no order: where it is not finite or, with the default
    of `empty`, constant.

    Attributes:
        curve: "points", the score after each step, step 0 first.
        pixels: "points", the number of pixels that are gone (deletion) or shown (insertion), from 0
            to all of them.
        progress: "points", the curve rescaled to 0 at its start and 1 at its end: FIDO's normalised
            suppression. NaN where the whole picture does not score above the infill alone, since
            nothing can be suppressed there.
        needed: "levels", the number of pixels at which the progress first reaches each level,
            linear between steps; NaN where the progress is. Lower is better.
        auc: area under `curve`, in units of the score; lower is better for deletion, higher for
            insertion.
    """

    curve: Float[Array, " points"]
    pixels: Int[Array, " points"]
    progress: Float[Array, " points"]
    needed: Float[Array, " levels"]
    auc: Scalar


@of_one_image
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
    show: bool = False,
) -> Deletion:
    """Remove the most salient pixels first; a good map needs few of them.

    The area under the curve has the unit of the score, and no bound with log-odds; lower is better.

    Args:
        saliency: any map; only the order of its values counts.
        infill: fills the pixels that are gone, and sees those that remain.
        steps: points of the curve after the whole picture. Small pictures have fewer, since points
            with equal numbers of pixels are merged.
        grid: how pixels are divided among the steps, a name in `GRIDS`.
        levels: levels of the progress, in (0, 1].
        axis: unit of the area's horizontal axis. With "share" the axis has length 1, so that the
            area is the mean height of the curve; with "step" it has length 1 per step, as in pixel
            flipping.
        step0: whether the area includes the untouched picture, as in RISE. Quantus leaves it out.
        ties: pixels of equal saliency go in "row"-major order, or in a "random" order drawn from
            the key.
        empty: a constant map gives "nan", or is taken in the "order" of its ties.
        score: a name in `fidojax.core.SCORES`.
        chunk: masked versions of the picture that the classifier sees at once; bounds the memory
            and changes no value.
        show: start with the infill alone and show the most salient pixels first: this is
            `insertion`.

    Raises:
        ValueError: the map's shape is not the image's, a name is unknown, or a count is below 1.

    Example:
        import infillers
        from fidojax.metrics import deletion

        found = deletion(key, classifier, image, target, saliency, infill=infillers.mean())
        pixels_to_half = found.needed[4]

    Reference: FIDO section 4.3; Petsiuk et al. 2018, section 4.3 (the area).
    """
    check_map(saliency, image)
    check_name("grid", grid, GRIDS)
    check_name("axis", axis, AXES)
    check_name("ties", ties, TIES)
    check_name("empty", empty, EMPTY)
    check_count(steps=steps)
    pixels = jnp.asarray(np.unique(np.round(GRIDS[grid](saliency.size, steps)).astype(int)))
    infill_key, order_key = jax.random.split(key)
    place = rank(saliency) if ties == "row" else _shuffled_rank(order_key, saliency)
    curve = score_curve(
        infill_key, classifier, image, target, place, pixels,
        infill=infill, score=score, chunk=chunk, show=show,
    )  # fmt: skip
    ordered = has_order(saliency)
    if empty == "nan":
        ordered &= jnp.ptp(saliency) > 0
    curve = jnp.where(ordered, curve, jnp.nan)
    fall = curve[-1] - curve[0] if show else curve[0] - curve[-1]
    # Compiled, a division by itself may be less than 1, and the last level was never reached.
    progress = ((curve - curve[0]) / (curve[-1] - curve[0])).at[-1].set(1)
    progress = jnp.where(fall > 0, progress, jnp.nan)
    needed = jax.vmap(lambda level: reached(progress, pixels, level))(jnp.asarray(levels))
    return Deletion(curve, pixels, progress, needed, area(curve, pixels, axis=axis, step0=step0))


@of_one_image
@with_options_of(deletion, "show")
def insertion(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    **options: Any,
) -> Deletion:
    """Show the most salient pixels first, on nothing but infill; a good map needs few of them.

    The area under the curve has the unit of the score, and no bound with log-odds; higher is
    better.

    Args:
        saliency: any map; only the order of its values counts.
        infill: fills the pixels that are not shown, and sees those that are.
        options: those of `deletion`, except `show`.

    Raises:
        ValueError: as `deletion`.

    Example:
        import infillers
        from fidojax.metrics import insertion

        found = insertion(key, classifier, image, target, saliency, infill=infillers.mean())
        area = found.auc

    Reference: Petsiuk et al. 2018, section 4.3.
    """
    return deletion(key, classifier, image, target, saliency, infill=infill, show=True, **options)


def reached(
    progress: Float[Array, " points"], pixels: Int[Array, " points"], level: float | Scalar
) -> Scalar:
    """The number of pixels at which the progress, which runs from 0 to 1, first is at `level`."""
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
    """The area under the curve, by trapezoids; `axis` and `step0` as in `deletion`."""
    check_name("axis", axis, AXES)
    if not step0:
        curve, pixels = curve[1:], pixels[1:]
    if axis == "step":
        return jnp.trapezoid(curve)
    return jnp.trapezoid(curve, pixels.astype(curve.dtype)) / (pixels[-1] - pixels[0])


def _shuffled_rank(key: PRNGKey, saliency: Saliency) -> Int[Array, "h w"]:
    """The place of every pixel, with pixels of equal saliency in a random order."""
    at = jax.random.permutation(key, saliency.size)
    places = rank(saliency.reshape(1, -1)[:, at])[0]
    return jnp.zeros_like(places).at[at].set(places).reshape(saliency.shape)
