"""How concise a map is: on how few pixels it lies, and how decided its probabilities are."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import entr

from fidojax.core import of_one_image
from fidojax.metrics.checks import check_map
from fidojax.types import Classifier, Image, PRNGKey, Saliency, Scalar, Target


class Complexity(NamedTuple):
    """The sparseness and the entropy of one map; NaN where it is 0 everywhere or not finite.

    Attributes:
        gini: Gini index of the absolute values, in [0, 1): 0 where all are equal, near 1 where one
            pixel has the whole sum. Higher is sparser.
        entropy: entropy of their shares of the sum, in nats: log(h w) where all are equal, 0 where
            one pixel has the whole sum. Lower is simpler.
    """

    gini: Scalar
    entropy: Scalar


@of_one_image
def complexity(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, saliency: Saliency
) -> Complexity:
    """Sparseness (Gini index) and complexity (entropy) of a map's absolute values.

    They say how concise the map is, not whether it is right. Only the map has an effect.

    Raises:
        ValueError: the map's shape is not the image's.

    Example:
        from fidojax.metrics import complexity

        found = complexity(key, classifier, image, target, saliency)
        sparseness = found.gini

    Reference: Chalasani et al., "Concise Explanations of Neural Networks using Adversarial
    Training", ICML 2020 (Gini); Bhatt, Weller, Moura, IJCAI 2020 (entropy).
    """
    del key, classifier, target
    check_map(saliency, image)
    values = jnp.sort(jnp.abs(saliency), axis=None)
    shares = values / values.sum()
    places = 2 * jnp.arange(1, values.size + 1) - values.size - 1
    return Complexity(jnp.vdot(places, shares) / values.size, entr(shares).sum())


class MaskSize(NamedTuple):
    """The size and the entropy of one mask of probabilities.

    Attributes:
        size: expected share of the pixels that are kept, in [0, 1].
        entropy: mean entropy of the pixels in nats, from 0 (every pixel is decided) to log 2 (every
            probability is 1/2).
    """

    size: Scalar
    entropy: Scalar


@of_one_image
def mask_size(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, saliency: Saliency
) -> MaskSize:
    """The expected size of a mask and how undecided it is.

    Neither direction is better in itself. Only the mask has an effect.

    Args:
        saliency: probability in [0, 1] that a pixel is kept. Of a drop probability the size is that
            of the dropped region, and the entropy is the same.

    Raises:
        ValueError: the mask's shape is not the image's.

    Example:
        from fidojax.metrics import mask_size

        found = mask_size(key, classifier, image, target, saliency)
        share_kept = found.size
    """
    del key, classifier, target
    check_map(saliency, image)
    keep = saliency
    return MaskSize(keep.mean(), (entr(keep) + entr(1 - keep)).mean())
