"""Infidelity: the squared error of a map as a prediction of how the score falls.

Yeh, Hsieh, Suggala, Inouye, Ravikumar, "On the (In)fidelity and Sensitivity of Explanations",
NeurIPS 2019 (arXiv 1901.09392).

| paper          | here                                                       |
|----------------|------------------------------------------------------------|
| I^T Phi        | `attributed`: the fall of the score that the map predicts   |
| f(x) - f(x-I)  | `fall` of the score                                        |
| beta           | the factor of `scale="best"`                               |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import SCORES, check_count, check_name, in_chunks, logits_of, of_one_image
from fidojax.metrics.checks import check_map
from fidojax.metrics.faithfulness import DROPS, Numbers, attributed_and_fall
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target

SCALES = ("best", "none")


class Infidelity(NamedTuple):
    """The errors for one picture, and the two columns that they compare.

    Attributes:
        error: mean squared error, in squared units of the score, >= 0; lower is better. NaN where
            the map is not finite and, scaled, where it predicts 0 for every perturbation.
        relative: the error divided by the mean square of `fall`, which is the error of a map of
            zeros; lower is better. Scaled, it is in [0, 1].
        attributed: "n", the fall of the score that the map predicts, before scaling.
        fall: "n", the fall of the score.
    """

    error: Scalar
    relative: Scalar
    attributed: Numbers
    fall: Numbers


@of_one_image
def infidelity(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    perturbation: str = "square",
    share: float = 0.05,
    radius: float | Scalar = 0.1,
    samples: int = 200,
    scale: str = "best",
    chunk: int = 128,
    score: str = "logit",
) -> Infidelity:
    """The mean squared error of the fall of the score that the map predicts, when pixels change.

    In squared units of the score, >= 0; lower is better. Where pixels are dropped, the map is read
    as contributions: it predicts that the score falls by its sum over them. Under noise it is read
    as a gradient: it predicts that the score falls by its product with the noise, which is one
    number for all colours of a pixel.

    Args:
        saliency: any map; its values are compared, not only their order.
        infill: fills the dropped pixels, and sees those that remain; "noise" does not call it.
        perturbation: how pixels are dropped, see `drop` in `fidojax.metrics.faithfulness.groups`,
            or "noise".
        share: share of the pixels that one perturbation drops, in (0, 1].
        radius: standard deviation of the noise, in brightness.
        samples: number of perturbations.
        scale: "none" takes the map as it is; "best" multiplies it by the number >= 0 that minimises
            the error, so that maps of different units can be compared. Yeh et al. also allow a
            negative number, which makes a map and its negation equally good.
        chunk: masked versions of the picture that the classifier sees at once; bounds the memory
            and changes no value.
        score: a name in `fidojax.core.SCORES`.

    Raises:
        ValueError: the map's shape is not the image's, a name is unknown, a count is below 1, or
            the share is outside (0, 1].

    Example:
        import infillers
        from fidojax.metrics import infidelity

        found = infidelity(
            key, classifier, image, target, saliency, infill=infillers.mean(), samples=20
        )
        share_unexplained = found.relative

    Reference: Yeh et al. 2019, definition 2.1 and section 4.
    """
    check_name("perturbation", perturbation, PERTURBATIONS)
    check_name("scale", scale, SCALES)
    if perturbation == "noise":
        attributed, fall = _under_noise(
            key, classifier, image, target, saliency, radius, samples, chunk, score
        )
    else:
        attributed, fall = attributed_and_fall(
            key, classifier, image, target, saliency, infill=infill, drop=perturbation,
            share=share, samples=samples, chunk=chunk, score=score,
        )  # fmt: skip
    error = squared_error(attributed, fall, scale=scale)
    error = jnp.where(jnp.all(jnp.isfinite(saliency)), error, jnp.nan)
    return Infidelity(error, error / jnp.mean(fall**2), attributed, fall)


PERTURBATIONS = (*DROPS, "noise")


def squared_error(attributed: Numbers, fall: Numbers, *, scale: str = "best") -> Scalar:
    """The mean of (attributed - fall)^2, with `attributed` scaled as in `infidelity`."""
    if scale == "best":
        best = jnp.vdot(attributed, fall) / jnp.vdot(attributed, attributed)
        attributed = jnp.maximum(best, 0) * attributed
    return jnp.mean((attributed - fall) ** 2)


def _under_noise(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    radius: float | Scalar,
    samples: int,
    chunk: int,
    score: str,
) -> tuple[Numbers, Numbers]:
    check_map(saliency, image)
    check_name("score", score, SCORES)
    check_count(samples=samples)

    def noise(i) -> Float[Array, "h w"]:
        return radius * jax.random.normal(jax.random.fold_in(key, i), saliency.shape, image.dtype)

    def without(indices):
        moved = image - jax.vmap(noise)(indices)[..., None]
        return SCORES[score](logits_of(classifier, moved), target)

    attributed = in_chunks(jax.vmap(lambda i: jnp.sum(noise(i) * saliency)), samples, chunk)
    before = SCORES[score](logits_of(classifier, image[None])[0], target)
    return attributed, before - in_chunks(without, samples, chunk)
