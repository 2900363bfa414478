"""Attention relevance: the attention of all layers, weighted with the gradient of a class's score.

Chefer, Gur, Wolf, "Generic Attention-model Explainability for Interpreting Bi-Modal and
Encoder-Decoder Transformers", ICCV 2021 (arXiv 2103.15679).

| paper       | here                                                   |
|-------------|--------------------------------------------------------|
| A           | the attention of one layer, "heads tokens tokens"      |
| y_t         | the score of the target                                |
| R^ii        | `info.relevance`, "tokens tokens"                      |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import SCORES, check_name, of_one_image, untransformed
from fidojax.methods.attention_rollout import of_patches
from fidojax.methods.class_activation import INTERPOLATIONS, Coarse, Grid, resize
from fidojax.transforms import attention
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Scalar, Target


class AttentionRelevanceInfo(NamedTuple):
    """The further results of attention relevance.

    Attributes:
        coarse: "rows columns", >= 0, the map with one value per patch.
        relevance: "tokens tokens", of each token (row) at the last layer for each at the first.
        attention: of each layer, "heads tokens tokens", rows with sum 1.
        score: the score that is explained, on the image.
    """

    coarse: Coarse
    relevance: Float[Array, "tokens tokens"]
    attention: tuple[attention.Attention, ...]
    score: Scalar


@of_one_image
def attention_relevance(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    interpolation: str = "bilinear",
    score: str = "logit",
    grid: Grid | None = None,
) -> Explanation:
    """Saliency by a transformer's attention, weighted with the score's gradient by it.

    The map is >= 0, in units of the score: the relevance of each patch for the class token;
    without a class token, the mean over the patches. Attention is found in the classifier's
    program.

    Args:
        interpolation, grid: as `attention_rollout` takes them.
        score: what is differentiated, a name in `fidojax.core.scores.SCORES`.

    Raises:
        ValueError: an unknown name, a classifier without attention, with attention within
            windows or to other tokens than those that attend, or tokens that are no grid.

    Example:
        >>> # classifier: a vision transformer, say fidojax.networks.from_nnx(module)
        >>> explanation = fidojax.attention_relevance(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", at least 0
        >>> coarse = explanation.info.coarse  # one value per patch

    Reference: Chefer et al. 2021, section 3, equations 5 and 6.
    """
    del key
    check_name("interpolation", interpolation, INTERPOLATIONS)
    check_name("score", score, SCORES)
    classifier, images = untransformed(classifier), image[None]
    layers = jax.eval_shape(lambda: attention.attended(classifier, images)[1])

    def explained(probes):
        logits, layers = attention.attended(classifier, images, probes)
        return SCORES[score](logits[0], target), layers

    probes = [jnp.zeros(layer.shape, layer.dtype) for layer in layers]
    (value, layers), gradients = jax.value_and_grad(explained, has_aux=True)(probes)
    relevance = jnp.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer, gradient in zip(layers, gradients, strict=True):
        weighted = jnp.mean(jax.nn.relu(gradient * layer), axis=0)  # Chefer et al. 2021, eq. 5
        relevance = relevance + weighted @ relevance  # Chefer et al. 2021, eq. 6
    coarse = of_patches(relevance, grid)
    info = AttentionRelevanceInfo(coarse, relevance, tuple(layers), value)
    return Explanation(resize(coarse, image.shape, interpolation), info)
