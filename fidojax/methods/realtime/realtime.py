"""Realtime: a network that has learned to mask the evidence for any class, in one pass.

Dabkowski, Gal, "Real Time Image Saliency for Black Box Classifiers", NeurIPS 2017
(arXiv 1705.07857), and the authors' code.

| paper                 | here                                                            |
|-----------------------|-----------------------------------------------------------------|
| M                     | the saliency map, 1 = keep                                      |
| feature filter        | `masker`'s selector                                             |
| objective             | `fidojax.methods.realtime.objective`                            |
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import classes_of, of_one_image, real_target, upsample
from fidojax.methods.realtime.objective import exists
from fidojax.transforms import feature_pyramid
from fidojax.types import Classifier, Explanation, Image, Masker, PRNGKey, Scalar, Target


class RealtimeInfo(NamedTuple):
    """The further results of Realtime.

    Attributes:
        coarse: "rows columns", in [0, 1], the map at the masker's resolution.
        activation: "rows columns", how much each place of the coarsest features speaks for the
            class; of any sign.
        exists: probability that the class is in the picture, by the selector.
    """

    coarse: Float[Array, "rows columns"]
    activation: Float[Array, "rows2 columns2"]
    exists: Scalar


@of_one_image
def realtime(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    masker: Masker,
    confidence: float | Scalar = 6.0,
    features: feature_pyramid.Source | None = None,
) -> Explanation:
    """Saliency by the mask of a trained decoder, in one pass of the classifier and the decoder.

    The map lies in [0, 1], 1 = keep. For a class that is not in the picture it is low everywhere.
    It is interpolated from `info.coarse` with corners on corners.

    Args:
        classifier: the one that the masker was trained for. Only its features are used.
        masker: see `Masker`; it is called with the one picture as a batch.
        confidence: the activation that a place must exceed to pass more than half; 6 as in the
            authors' code. Training uses 0.
        features: images "n h w c" -> the classifier's features at several resolutions, the coarsest
            first; `fidojax.transforms.feature_pyramid.features` of the classifier when None.

    Raises:
        ValueError: the classifier has no convolutional features, or other ones than the masker's.

    Example:
        >>> # masker = fidojax.networks.load_masker("tiny_imagenet40")
        >>> explanation = fidojax.realtime(key, classifier, image, target, masker=masker)
        >>> saliency = explanation.saliency  # "h w", 1 = keep
        >>> p = explanation.info.exists  # probability that the class is in the picture

    Reference: Dabkowski & Gal 2017, section 4.
    """
    del key
    images = image[None]
    levels = feature_pyramid.features(classifier, images) if features is None else features(images)
    real = real_target(target, classes_of(classifier, image))
    masks, activations = masker(jnp.asarray(target)[None], confidence, *levels)
    coarse, activation = masks[0].astype(jnp.float32), activations[0]
    coarse = coarse if real is None else coarse * real
    saliency = upsample(coarse, image.shape[:2])
    return Explanation(saliency, RealtimeInfo(coarse, activation, exists(activation)))
