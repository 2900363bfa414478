"""DeepLIFT: contributions of the input values to the difference from a reference.

Shrikumar, Greenside, Kundaje, "Learning Important Features Through Propagating Activation
Differences", ICML 2017 (arXiv 1704.02685). `propagation.py` has the rules.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import (
    SCORES,
    as_classifier,
    check_name,
    check_target_of,
    logits_of,
    of_one_image,
    untransformed,
    warn_of_shortfalls,
)
from fidojax.methods.deeplift.propagation import RULES, contributions
from fidojax.types import Classifier, Explanation, Image, Infiller, PRNGKey, Scalar, Target


class DeepLIFTInfo(NamedTuple):
    """The further results of DeepLIFT.

    Attributes:
        attribution: "h w c", signed contributions to the difference of the scores.
        multiplier: "h w c", contribution per unit of difference from the reference.
        reference: "h w c", the reference picture.
        score: of the target on the image.
        reference_score: of the target on the reference.
        gap: the sum of the contributions minus the difference of the scores; 0 but for rounding.
        rescaled: in [0, 1], the share of the elements of nonlinearities under RevealCancel at which
            it is undefined, so that Rescale stands in; 0 where none takes RevealCancel.
    """

    attribution: Float[Array, "h w c"]
    multiplier: Float[Array, "h w c"]
    reference: Image
    score: Scalar
    reference_score: Scalar
    gap: Scalar
    rescaled: Scalar


MORE_PRECISION = "rounding spoils them; compute in float64, in the context jax.enable_x64()"
"""What helps where the contributions do not add up."""


@of_one_image
def deeplift(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    infill: Infiller | None = None,
    rule: str = "reveal_cancel",
    score: str = "logit",
) -> Explanation:
    """Saliency by contributions to the score's difference from a reference picture.

    The map is the signed contribution in units of the score, summed over the channels; its sum is
    the difference of the scores. The defaults are those of VDSM's comparison: a black reference,
    RevealCancel everywhere, the class's logit as it is.

    The rules are applied to the classifier's program, so an activation may be reused, functional,
    or composed of several operations. Elementwise operations on one value are one nonlinearity; a
    maximum's difference belongs to one element of its window. In a product of two values that
    depend on the image (a gate, attention, a normalisation), each factor's difference is multiplied
    by the mean of the other factor at the image and at the reference.

    Args:
        infill: makes the reference, from the image with every pixel dropped; black when None.
        rule: "reveal_cancel" or "rescale" in all nonlinearities, or "genomics_default": Rescale
            after convolutions and RevealCancel after dense layers.
        score: a name in `fidojax.core.scores.SCORES`, by the Rescale rule whatever `rule` is.

    Raises:
        ValueError: an unknown name, or an operation of the classifier without a rule, as sorting.

    Warns:
        CompletenessWarning: `info.gap` is large; not where the function is traced.

    Example:
        >>> explanation = fidojax.deeplift(key, classifier, image, target, infill=infillers.blur())
        >>> saliency = explanation.saliency  # "h w", contributions with their sign
        >>> gap = explanation.info.gap  # 0 but for rounding

    Reference: Shrikumar et al. 2017, sections 3.5.1 to 3.5.3.
    """
    check_name("rule", rule, RULES)
    check_name("score", score, SCORES)
    if infill is None:
        reference = jnp.zeros_like(image)
    else:
        reference = infill(key, image, jnp.zeros(image.shape[:2], image.dtype))
    check_target_of(classifier, image, target)
    plain = as_classifier(untransformed(classifier), image.shape)
    info = _explain(plain, image, target, reference, rule, score)
    warn_of_shortfalls(info, MORE_PRECISION)
    return Explanation(jnp.sum(info.attribution, axis=-1), info)


@partial(jax.jit, static_argnames=("rule", "score"))
def _explain(classifier, image, target, reference, rule, score):
    found = contributions(
        rule,
        lambda image: logits_of(classifier, image[None])[0],
        image,
        reference,
        lambda logits: SCORES[score](logits, target),
    )
    return DeepLIFTInfo(
        attribution=found.attribution,
        multiplier=found.multiplier,
        reference=reference,
        score=found.image,
        reference_score=found.reference,
        gap=jnp.sum(found.attribution) - (found.image - found.reference),  # 0 by summation to delta
        rescaled=found.rescaled,
    )
