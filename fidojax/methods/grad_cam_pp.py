"""Grad-CAM++: a channel's weight is a weighted sum of its positive gradients.

Chattopadhay, Sarkar, Howlader, Balasubramanian, "Grad-CAM++: Generalized Gradient-based Visual
Explanations for Deep Convolutional Networks", WACV 2018 (arXiv 1710.11063).

| paper          | here                                                          |
|----------------|---------------------------------------------------------------|
| A^k            | `features`, "rows columns channels"                           |
| S^c            | the score; Y^c = exp(S^c) is what the paper differentiates    |
| alpha_ij^kc    | `shares`                                                      |
| w_k^c          | the weights, without the factor exp(S^c) that all share       |
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import of_one_image, with_options_of
from fidojax.methods.class_activation import Features, class_activation
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Target


@of_one_image
@with_options_of(class_activation, "weigh")
def grad_cam_pp(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options: Any
) -> Explanation:
    """Saliency by the features of one layer, each weighted by where it raises the score.

    The map is >= 0, in units of the features times the gradient: several objects of a class weigh
    as much as one. The options and errors are those of `grad_cam`.

    Example:
        >>> explanation = fidojax.grad_cam_pp(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", at least 0
        >>> weights = explanation.info.weights  # one of each channel

    Reference: Chattopadhay et al. 2018, equations 12, 13 and 19.
    """
    del key
    return class_activation(classifier, image, target, weigh=_positive_gradients, **options)


def _positive_gradients(features: Features, gradients: Features) -> Float[Array, " channels"]:
    sums = jnp.sum(features, axis=(0, 1))
    # The second and third derivatives of exp(S) are powers of the first where S is linear.
    below = 2 * gradients**2 + sums * gradients**3
    shares = jnp.where(below == 0, 0, gradients**2 / jnp.where(below == 0, 1, below))
    return jnp.sum(shares * jax.nn.relu(gradients), axis=(0, 1))
