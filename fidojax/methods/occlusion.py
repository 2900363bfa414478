"""Occlusion: the fall of the score when a window of the picture is covered.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
The paper states neither the side of its grey square nor its step, and shows the scores themselves;
what libraries draw under this name is the fall of the score, spread over the pixels of the window,
where some average over the windows that cover a pixel and others add them up. Both are here.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import (
    black,
    check_name,
    lay_windows,
    masked_scores,
    of_one_image,
    sum_over_windows,
)
from fidojax.types import (
    Classifier,
    Explanation,
    Image,
    Infiller,
    PRNGKey,
    Saliency,
    Scalar,
    Target,
)

AGGREGATIONS = ("mean", "sum")


class OcclusionInfo(NamedTuple):
    """The further results of occlusion.

    Attributes:
        original: score of the image.
        scores: "rows columns", score with each window covered, from the top left.
        windows: "h w", number of windows that cover the pixel.
    """

    original: Scalar
    scores: Float[Array, "rows columns"]
    windows: Saliency


@of_one_image
def occlusion(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    infill: Infiller | None = None,
    window: int | tuple[int, int] = 15,
    stride: int | tuple[int, int] = 8,
    aggregation: str = "mean",
    border: str = "clip",
    score: str = "probability",
    chunk: int = 128,
) -> Explanation:
    """Saliency by the fall of the score when a window that holds the pixel is covered.

    The map is s(x) - s(x with the window covered), averaged or summed over the windows that cover a
    pixel, in units of the score: positive where the picture speaks for the class. A pixel that no
    window covers has 0. Window and stride are those that libraries use at 224 pixels.

    Args:
        infill: what covers the window; black when None.
        window: sides in pixels, rows and columns, or one number for both.
        stride: pixels from one window to the next, down and across, or one number for both.
        aggregation: "mean" or "sum" over the windows that cover a pixel.
        border: "clip" lays windows until the picture is covered and cuts those that reach over the
            edge; "drop" leaves those out.
        score: a name in `fidojax.core.scores.SCORES`.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: an unknown name, a count below 1, or a window larger than the image.

    Example:
        >>> explanation = fidojax.occlusion(key, classifier, image, target, window=8, stride=4)
        >>> saliency = explanation.saliency  # "h w", the mean fall of the probability
        >>> scores = explanation.info.scores  # with each window covered

    Reference: Zeiler & Fergus 2014, section 4.2.
    """
    check_name("aggregation", aggregation, AGGREGATIONS)
    rows, columns = lay_windows(image, window, stride, border)
    shape = (len(rows), len(columns))

    def mask(index):
        # Index 0 is the picture itself, so that it goes through the classifier with the others.
        row, column = jnp.divmod(index - 1, shape[1])
        covered = rows[row][:, None] & columns[column][None, :] & (index > 0)
        return 1 - covered.astype(image.dtype)

    scores = masked_scores(
        key, classifier, image, target, mask, 1 + shape[0] * shape[1],
        infill=black if infill is None else infill, score=score, chunk=chunk,
    ).astype(image.dtype)  # fmt: skip
    original, covered = scores[0], scores[1:].reshape(shape)
    total = sum_over_windows(original - covered, rows, columns)
    windows = sum_over_windows(jnp.ones_like(covered), rows, columns)
    saliency = total / jnp.maximum(windows, 1) if aggregation == "mean" else total
    return Explanation(saliency, OcclusionInfo(original, covered, windows))
