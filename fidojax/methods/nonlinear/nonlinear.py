"""Nonlinear saliency maps: blur the least sensitive pixels, enhance the others, and repeat.

Rosenzweig, Cvetkovic, Rosenzweig, "Interpreting Deep Neural Networks with Nonlinear Saliency Maps"
(arXiv 2110.06639). The code of the paper's steps 2 and 3 is lost and its constants were never
given; docs/deviations.md says how the text is read here, and every choice is an option.
The steps themselves are in `fidojax.methods.nonlinear.trajectory`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fidojax.core import loop as loops
from fidojax.core import with_options_of
from fidojax.methods.nonlinear.trajectory import trajectory_loop
from fidojax.types import Classifier, Explanation, Image, PRNGKey


@with_options_of(trajectory_loop, "linear")
def nonlinear_saliency_loop(**options: Any) -> loops.Loop:
    """Saliency by blurring more and more of the least sensitive pixels and enhancing the others.

    Step after step a larger share of the pixels, those whose gradient has the smallest norm, is
    blurred; the others move along the gradient, which is then computed anew. Pixels with equal
    norms are blurred in row-major order, so that the share is exact.

    The map, in [0, 1], is the share of the steps in which the pixel stayed sharp; the paper's
    binary maps are `masked_map`. The paper gives none of these constants but 0.95 and `levels`.

    Args:
        steps: of the trajectory, each one gradient of the classifier.
        repeats: consecutive steps that blur the same share; a divisor of `steps`.
        top: share of pixels that the last step blurs, in (0, 1); the shares rise evenly to it.
        step_size: what a step adds along the gradient; with "max", to the most sensitive pixel, as
            Euclidean norm over colours, and in proportion elsewhere.
        sigma: of one step's Gaussian blur, in pixels, positive.
        normalise: "max", the enhancement is divided by the largest norm of all pixels; "none",
            it is `step_size` times the gradient.
        plateau: share of the largest p(target) from which on `info.threshold` counts it as reached.
        removal_sigma: of the blur in `info.removed`; when None, that of all steps in succession,
            sigma times the square root of steps.
        levels: shares of blurred pixels at which `info.images` keeps the picture.

    Raises:
        ValueError: an unknown name, a count below 1, or steps that are no multiple of repeats.

    Example:
        >>> explanation = fidojax.nonlinear_saliency(key, classifier, image, target, steps=10)
        >>> saliency = explanation.saliency  # "h w", share of the steps that left a pixel sharp
        >>> level = explanation.info.threshold  # share of blurred pixels at the plateau

    Reference: Rosenzweig et al. 2021, Methods.
    """
    return trajectory_loop(linear=False, **options)


@with_options_of(trajectory_loop, "linear")
def linear_saliency_loop(**options: Any) -> loops.Loop:
    """Saliency by the same steps with the gradient at the original image throughout.

    The map is the rank of the gradient's norm, in [0, 1]. The options are those of
    `nonlinear_saliency`; a step is one forward pass.

    Example:
        >>> explanation = fidojax.linear_saliency(key, classifier, image, target, steps=10)
        >>> saliency = explanation.saliency  # "h w", the rank of the gradient's norm
        >>> p = explanation.info.probabilities  # of the class at each point of the trajectory

    Reference: Rosenzweig et al. 2021, "Main" and Figure 3.
    """
    return trajectory_loop(linear=True, **options)


nonlinear_saliency = loops.method(nonlinear_saliency_loop)
linear_saliency = loops.method(linear_saliency_loop)


class Comparison(NamedTuple):
    """The two maps of several classes; every leaf has a leading axis of classes."""

    nonlinear: Explanation
    linear: Explanation


def compare_classes(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    targets: Sequence[int] | Int[Array, " classes"],
    **options: Any,
) -> Comparison:
    """Return nonlinear and linear maps of several classes of one picture.

    Args:
        targets: the classes, say the two most probable.
        options: those of `nonlinear_saliency`, for both maps.

    Reference: Rosenzweig et al. 2021, Figures 1 to 4.
    """

    def of(method):
        return jax.vmap(lambda target: method(key, classifier, image, target, **options))(
            jnp.asarray(targets)
        )

    return Comparison(of(nonlinear_saliency), of(linear_saliency))
