"""I-GOS: the smallest smooth region whose deletion destroys the class, by integrated gradients.

Qi, Khorram and Li, "Visualizing Deep Networks by Optimizing with Integrated Gradients", AAAI 2020
(arXiv 1905.00954), with the constants of the authors' code (docs/deviations.md).
"""

import jax.numpy as jnp

from fidojax.core import loop as loops
from fidojax.core import upsample
from fidojax.methods.igos.descend import POINTS, STEPS, descend
from fidojax.methods.igos.descent import mean_variation
from fidojax.methods.igos.problem import Problem
from fidojax.types import Infiller, Scalar


def igos_loop(
    *,
    infill: Infiller | tuple[Infiller, ...],
    lam: float | Scalar = 1.0,
    tv: float | Scalar = 20.0,
    size: int | None = None,
    steps: int = STEPS,
    points: int = POINTS,
    noise: float | Scalar = 0.045,
    step_size: float | Scalar = 1000.0,
    score: str = "probability",
    chunk: int = 40,
) -> loops.Loop:
    """Saliency by a deletion mask that descends along the integrated gradient of the score.

    The mask descends along the mean gradient over pictures on the way from the baseline to the
    masked picture, which passes by local optima in which the plain gradient stops. The map is one
    minus the mask, in [0, 1]. The defaults are the authors' values.
    They suit a class that is certain: at a probability of .6 the regularisers may outweigh the
    score, so that the map stays near 0 and only its order means something; lower `lam` and `tv`.

    Args:
        infill: fills the baseline, once; of several the first. The authors blur the picture.
        lam: weight of the mean of one minus the mask.
        tv: weight of the mask's total variation per pair of neighbours.
        size: side of the optimised mask; an eighth of the image's sides when None (28 at 224).
        steps: steps of the descent.
        points: pictures on the way, each one gradient of the classifier.
        noise: standard deviation of the noise on each of them, for pictures in [0, 1].
        step_size: the first of the 13 step sizes that the line search tries in each step,
            each one evaluation without gradient.
        score: what is to fall, a name in `fidojax.core.scores.SCORES`.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: an unknown name, or a count below 1.

    Example:
        >>> explanation = fidojax.igos(
        ...     key, classifier, image, target, infill=infillers.blur(), size=4, steps=3
        ... )
        >>> saliency = explanation.saliency  # "h w", 1 where a pixel is deleted
        >>> p = explanation.info.probability  # of the class on the picture that is left

    Reference: Qi, Khorram and Li 2020.
    """

    def pose(image, reference):
        def penalty(masks):
            # The slope of |x| at 0 is 0: cells that no score has lowered yet have no price.
            return lam * jnp.mean(jnp.abs(1 - masks)) + tv * mean_variation(masks[0])

        return Problem(
            build=lambda masks: upsample(masks[0], image.shape[:2])[None],
            ones=image[None],
            zeros=reference[None],
            weights=jnp.ones(1, image.dtype),
            penalty=penalty,
            score=score,
            chunk=chunk,
        )

    return descend(
        pose, 1, 1, infill=infill, size=size, steps=steps, points=points, noise=noise,
        step_size=step_size, score=score, chunk=chunk,
    )  # fmt: skip


igos = loops.method(igos_loop)
