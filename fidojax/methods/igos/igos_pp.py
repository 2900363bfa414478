"""iGOS++: two masks, whose product deletes the class and alone supports it.

Khorram, Lawson and Li, "iGOS++: Integrated Gradient Optimized Saliency by Bilateral Perturbations",
CHIL 2021 (arXiv 2012.15783), with the constants of the authors' code (docs/deviations.md).
"""

import jax.numpy as jnp

from fidojax.core import loop as loops
from fidojax.core import upsample
from fidojax.methods.igos.descend import POINTS, STEPS, descend
from fidojax.methods.igos.descent import bilateral_variation, mean_variation
from fidojax.methods.igos.problem import Problem
from fidojax.types import Infiller, Scalar


def igos_pp_loop(
    *,
    infill: Infiller | tuple[Infiller, ...],
    lam: float | Scalar = 1.0,
    tv: float | Scalar = 20.0,
    contrast: float | Scalar = 0.0225,
    size: int | None = None,
    steps: int = STEPS,
    points: int = POINTS,
    noise: float | Scalar = 0.045,
    step_size: float | Scalar = 1000.0,
    score: str = "probability",
    chunk: int = 40,
) -> loops.Loop:
    """Saliency by a deletion and an insertion mask that descend along integrated gradients.

    The score is to fall where the region is deleted and to rise where it alone is inserted into the
    baseline: of the region of each mask by its own aim, of the masks' product by both. The map is
    one minus the product, in [0, 1]. The defaults are the authors' values.
    They suit a class that is certain: at a probability of .6 the regularisers may outweigh the
    score, so that the map stays near 0 and only its order means something; lower `lam` and `tv`.

    Args:
        infill: fills the baseline, once; of several the first. The authors blur the picture.
        lam: weight of the mean of one minus the product.
        tv: weight of the product's total variation, the mean of `igos`'s and of the bilateral one,
            which costs less across the picture's edges.
        contrast: difference of brightness at which the weight of a pair of pixels is 1/e.
        size: side of the optimised masks; an eighth of the image's sides when None (28 at 224).
        steps: steps of the descent.
        points: pictures on each of four ways from or to the baseline, each one gradient.
        noise: standard deviation of the noise on each of them, for pictures in [0, 1].
        step_size: the first of the 13 step sizes that the line search tries in each step,
            each four evaluations without gradient.
        score: a name in `fidojax.core.scores.SCORES`.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: an unknown name, or a count below 1.

    Example:
        >>> explanation = fidojax.igos_pp(
        ...     key, classifier, image, target, infill=infillers.blur(), size=4, steps=3
        ... )
        >>> saliency = explanation.saliency  # "h w", 1 where a pixel carries the class
        >>> p = explanation.info.probability  # of the class on the picture without them

    Reference: Khorram, Lawson and Li 2021.
    """

    def pose(image, reference):
        shape = image.shape[:2]

        def build(masks):
            deletion, insertion = (upsample(mask, shape) for mask in masks)
            both = deletion * insertion
            return jnp.stack([both, both, deletion, insertion])

        def penalty(masks):
            product = masks[0] * masks[1]
            smooth = bilateral_variation(upsample(product, shape), image, contrast)
            variation = (mean_variation(product) + smooth) / 2
            # The slope of |x| at 0 is 0: cells that no score has lowered yet have no price.
            return lam * jnp.mean(jnp.abs(1 - product)) + tv * variation

        return Problem(
            build=build,
            # A region is inserted where its mask is 0: the masks have one meaning in all terms.
            ones=jnp.stack([image, reference, image, reference]),
            zeros=jnp.stack([reference, image, reference, image]),
            weights=jnp.array([0.5, -0.5, 0.5, -0.5], image.dtype),
            penalty=penalty,
            score=score,
            chunk=chunk,
        )

    return descend(
        pose, 2, 4, infill=infill, size=size, steps=steps, points=points, noise=noise,
        step_size=step_size, score=score, chunk=chunk,
    )  # fmt: skip


igos_pp = loops.method(igos_pp_loop)
