"""Expected gradients: integrated gradients from every picture that could have been there.

Erion, Janizek, Sturmfels, Lundberg, Lee, "Improving performance of deep learning models with
axiomatic attribution priors and expected gradients", Nature Machine Intelligence 2021 (arXiv
1906.10670). Their references are other pictures of the data set; here an infiller draws them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fidojax.core import SCORES, check_count, check_name, logits_of, of_one_image
from fidojax.methods.attribution import CHANNELS, Attribution, gradients, mean_and_variance
from fidojax.types import Classifier, Explanation, Image, Infiller, PRNGKey, Scalar, Target


class ExpectedInfo(NamedTuple):
    """The further results of expected gradients.

    Attributes:
        attribution: "h w c", with its sign.
        error: "h w c", standard error of the attribution over the draws.
        score: the score on the image.
        reference: "h w c", mean of the drawn references.
    """

    attribution: Attribution
    error: Attribution
    score: Scalar
    reference: Image


@of_one_image
def expected_gradients(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    infill: Infiller,
    samples: int = 200,
    channels: str = "sum",
    score: str = "logit",
    chunk: int = 64,
) -> Explanation:
    """Saliency by the expectation of integrated gradients over drawn references.

    Each sample draws one reference and one point, uniform on the way from it to the image. The map
    is the sum over the channels with its sign, in units of the score: its total estimates how much
    higher the image scores than the references do on average.

    Args:
        infill: draws a reference: it fills a picture of which nothing is kept, a key per sample.
        samples: draws, each one gradient of the classifier; 200 as in the authors' code.
        channels: how the map is made of the channels, a name in
            `fidojax.methods.attribution.CHANNELS`.
        score: what is differentiated, a name in `fidojax.core.scores.SCORES`.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: an unknown name, or a count below 1.

    Example:
        >>> explanation = fidojax.expected_gradients(
        ...     key, classifier, image, target, infill=infillers.random(), samples=20
        ... )
        >>> saliency = explanation.saliency  # "h w", contributions with their sign
        >>> error = explanation.info.error  # of each input value

    Reference: section "Expected gradients".
    """
    check_name("channels", channels, CHANNELS)
    check_name("score", score, SCORES)
    check_count(samples=samples, chunk=chunk)
    nothing = jnp.zeros(image.shape[:2], image.dtype)

    def draw(index):
        infill_key, alpha_key = jax.random.split(jax.random.fold_in(key, index))
        alpha = jax.random.uniform(alpha_key, (), image.dtype)
        return infill(infill_key, image, nothing), alpha

    def attribute(indices):
        reference, alpha = jax.vmap(draw)(indices)
        points = reference + alpha[:, None, None, None] * (image - reference)
        grads = gradients(classifier, points, target, score)[1]
        return jnp.stack([(image - reference) * grads, reference], axis=1)

    weights = jnp.full(samples, 1 / samples, image.dtype)
    (attribution, reference), (variance, _) = mean_and_variance(attribute, weights, chunk)
    info = ExpectedInfo(
        attribution=attribution,
        error=jnp.sqrt(variance / max(samples - 1, 1)),
        score=SCORES[score](logits_of(classifier, image[None])[0], target),
        reference=reference,
    )
    return Explanation(CHANNELS[channels](attribution), info)
