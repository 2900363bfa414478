"""Attention rollout: the attention of all layers, multiplied.

Abnar, Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020 (arXiv 2005.00928).

| paper       | here                                                   |
|-------------|--------------------------------------------------------|
| W_att       | the attention of one layer, the mean over its heads    |
| A           | (W_att + I) / 2                                        |
| Ã           | `info.relevance`, "tokens tokens"                      |
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import check_name, of_one_image, untransformed
from fidojax.methods.class_activation import INTERPOLATIONS, Coarse, Grid, patch_grid, resize
from fidojax.transforms import attention
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Target


class AttentionInfo(NamedTuple):
    """The further results of the methods of attention.

    Attributes:
        coarse: "rows columns", >= 0, the map with one value per patch.
        relevance: "tokens tokens", what each token (row) takes from each at the first layer.
        attention: of each layer, "heads tokens tokens", rows with sum 1.
    """

    coarse: Coarse
    relevance: Float[Array, "tokens tokens"]
    attention: tuple[attention.Attention, ...]


@of_one_image
def attention_rollout(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    interpolation: str = "bilinear",
    grid: Grid | None = None,
) -> Explanation:
    """Saliency by a transformer's attention, multiplied through all layers.

    The map is >= 0: the share of the class token's last state that stems from each patch, where
    residual connections count as attention to oneself; without a class token, the mean over the
    patches. It is the same for every class. Attention is found in the classifier's program.

    Args:
        target: changes nothing.
        interpolation: from patches to pixels, "bilinear", "nearest" or "cubic".
        grid: (rows, columns) of the patches, row by row; the first of the tokens before them is
            that of the class. When None, the patches make a square, with or without one token for
            the class.

    Raises:
        ValueError: an unknown name, a classifier without attention, with attention within
            windows or to other tokens than those that attend, or tokens that are no grid.

    Example:
        >>> # classifier: a vision transformer, say fidojax.networks.from_nnx(module)
        >>> explanation = fidojax.attention_rollout(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", at least 0
        >>> coarse = explanation.info.coarse  # one value per patch

    Reference: Abnar and Zuidema 2020, section 3, equation 1.
    """
    del key, target
    check_name("interpolation", interpolation, INTERPOLATIONS)
    _, layers = attention.attended(untransformed(classifier), image[None])
    relevance = jnp.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        relevance = (jnp.mean(layer, axis=0) @ relevance + relevance) / 2  # A times the rollout
    coarse = of_patches(relevance, grid)
    info = AttentionInfo(coarse, relevance, tuple(layers))
    return Explanation(resize(coarse, image.shape, interpolation), info)


def of_patches(relevance: Float[Array, "tokens tokens"], grid: Grid | None) -> Coarse:
    """Return what the class token takes from each patch, else the mean over the patches."""
    (rows, columns), before = patch_grid(len(relevance), grid)
    row = relevance[0] if before else jnp.mean(relevance, axis=0)
    return row[before:].reshape(rows, columns)
