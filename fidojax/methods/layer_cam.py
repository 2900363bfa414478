"""LayerCAM: every feature is weighted with its own positive gradient.

Jiang, Zhang, Hou, Cheng, Wei, "LayerCAM: Exploring Hierarchical Class Activation Maps for
Localization", IEEE Transactions on Image Processing 30 (2021).
"""

from typing import Any

import jax

from fidojax.core import of_one_image, with_options_of
from fidojax.methods.class_activation import Features, class_activation
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Target


@of_one_image
@with_options_of(class_activation, "weigh")
def layer_cam(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options: Any
) -> Explanation:
    """Saliency by the features of one layer, each place weighted with its own positive gradient.

    The map is >= 0, in units of the features times the gradient. Early layers have maps of fine
    detail, since no weight is shared among places. The options and errors are those of `grad_cam`.

    Example:
        >>> explanation = fidojax.layer_cam(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", at least 0
        >>> weights = explanation.info.weights  # "rows columns channels", at least 0

    Reference: Jiang et al. 2021, equations 6 to 8.
    """
    del key
    return class_activation(classifier, image, target, weigh=_positive_gradient, **options)


def _positive_gradient(features: Features, gradients: Features) -> Features:
    del features
    return jax.nn.relu(gradients)
