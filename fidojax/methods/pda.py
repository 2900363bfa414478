"""Prediction difference analysis: how much evidence is lost with a patch that was never seen?

Zintgraf, Cohen, Adel & Welling, "Visualizing Deep Neural Network Decisions: Prediction Difference
Analysis", ICLR 2017 (arXiv 1702.04595). The published infiller is the conditional Gaussian of
`infillers.patch_gaussian`; any other is another model of what the patch might have been.

| paper          | here                                            |
|----------------|-------------------------------------------------|
| k, l           | `window`, the sides of the Gaussian's patches   |
| S              | `samples`                                       |
| p(x_i, x_\\i)   | `infill`                                        |
| N, K           | `instances`, the number of logits               |
| WE_i           | `evidence`                                      |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import check_count, lay_windows, masked_scores, of_one_image, sum_over_windows
from fidojax.types import Classifier, Explanation, Image, Infiller, PRNGKey, Scalar, Target


class PdaInfo(NamedTuple):
    """The further results of prediction difference analysis.

    Attributes:
        original: p(target) on the image.
        probability: "rows columns", p(target) without each window: its mean over the samples.
        evidence: "rows columns", each window's weight of evidence in bits.
    """

    original: Scalar
    probability: Float[Array, "rows columns"]
    evidence: Float[Array, "rows columns"]


@of_one_image
def pda(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    infill: Infiller,
    window: int = 10,
    stride: int = 1,
    samples: int = 10,
    instances: float | Scalar = 1e5,
    chunk: int = 128,
) -> Explanation:
    """Saliency by the weight of evidence of a window, averaged over the windows of a pixel.

    The map is log2 odds(c | x) - log2 odds(c | x without the window), in bits: positive where the
    window speaks for the class. The defaults are those of the authors' ImageNet experiments.

    Args:
        infill: draws what the window might have held, anew for each sample; the paper's is
            `infillers.patch_gaussian.fit_patch_gaussian`, of the same `window`.
        window: side of the square that is marginalised out, k.
        stride: pixels from one window to the next; the paper takes every window.
        samples: draws per window, S, whose probabilities are averaged.
        instances: N of the Laplace correction p <- (p N + 1) / (N + K), the number of training
            pictures; K is the number of classes.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: a count below 1, a window larger than the image, or not that of an infiller
            with a `fitted_window`.

    Example:
        >>> explanation = fidojax.pda(
        ...     key, classifier, image, target, infill=infillers.random(), window=4, stride=4
        ... )
        >>> saliency = explanation.saliency  # "h w", in bits
        >>> p = explanation.info.probability  # of the class without each window

    Reference: Zintgraf et al. 2017, sections 2 and 3, Algorithm 1.
    """
    check_count(samples=samples)
    fitted = getattr(infill, "fitted_window", window)
    if fitted != window:
        raise ValueError(f"window is {window}, expected the infiller's {fitted}")
    rows, columns = lay_windows(image, window, stride)
    shape = (len(rows), len(columns))

    def mask(index):
        # Index 0 is the picture itself, so that it goes through the classifier with the others.
        row, column = jnp.divmod((index - 1) // samples, shape[1])
        hidden = rows[row][:, None] & columns[column][None, :] & (index > 0)
        return 1 - hidden.astype(image.dtype)

    odds = masked_scores(
        key, classifier, image, target, mask, 1 + shape[0] * shape[1] * samples,
        infill=infill, score="log_odds", chunk=chunk,
    ).astype(image.dtype)  # fmt: skip
    classes = jax.eval_shape(classifier, image[None]).shape[-1]
    sampled = odds[1:].reshape(*shape, samples)
    # The complement is averaged, too: 1 - p would lose the digits of a p near 1.
    p, rest = (jax.nn.sigmoid(sign * sampled).mean(axis=-1) for sign in (1, -1))
    original, other = jax.nn.sigmoid(odds[0]), jax.nn.sigmoid(-odds[0])
    whole = log2_odds(original, other, instances, classes)
    evidence = whole - log2_odds(p, rest, instances, classes)  # weight of evidence, in bits
    windows = sum_over_windows(jnp.ones_like(evidence), rows, columns)
    saliency = sum_over_windows(evidence, rows, columns) / jnp.maximum(windows, 1)
    return Explanation(saliency, PdaInfo(original, p, evidence))


def log2_odds(
    p: Float[Array, "..."],
    rest: Float[Array, "..."],
    instances: float | Scalar,
    classes: int,
) -> Float[Array, "..."]:
    """log2 p / (1 - p) after the Laplace correction p <- (p N + 1) / (N + K); rest is 1 - p."""
    return jnp.log2(p * instances + 1) - jnp.log2(rest * instances + classes - 1)
