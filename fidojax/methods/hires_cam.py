"""HiResCAM: every feature times its own gradient.

Draelos, Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
networks" (arXiv 2011.08891).
"""

from typing import Any

from fidojax.core import of_one_image, with_options_of
from fidojax.methods.class_activation import Features, class_activation
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Target


@of_one_image
@with_options_of(class_activation, "weigh")
def hires_cam(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options: Any
) -> Explanation:
    """Saliency by the features of one layer, each times the score's gradient to it.

    The map is >= 0, in units of the score: where one linear layer follows the features, the sum
    before rectification is what each place adds to the score. The options and errors are those of
    `grad_cam`.

    Example:
        >>> explanation = fidojax.hires_cam(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", at least 0
        >>> weights = explanation.info.weights  # "rows columns channels", the gradient

    Reference: Draelos and Carin 2020, section 3.
    """
    del key
    return class_activation(classifier, image, target, weigh=_gradient, **options)


def _gradient(features: Features, gradients: Features) -> Features:
    del features
    return gradients
