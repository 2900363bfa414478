"""Guided backpropagation: the gradient along the paths that excite the class at every ReLU.

Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for Simplicity: The All Convolutional Net",
ICLR workshop 2015 (arXiv 1412.6806).
"""

from jaxtyping import Array, Float

from fidojax.core import SCORES, check_name, of_one_image
from fidojax.methods.attribution import CHANNELS
from fidojax.transforms import relu
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Target


@of_one_image
def guided_backprop(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    score: str = "logit",
) -> Explanation:
    """Saliency by the gradient that passes a ReLU only where it and the ReLU's input are positive.

    The map is the largest absolute value over the channels, at least 0, in score per unit of
    brightness; `info.gradient` is signed. ReLUs are found in the classifier's program
    (`fidojax.transforms.relu`); all other operations keep their gradient. For a classifier without
    ReLUs the result is the plain gradient.

    Args:
        score: a name in `fidojax.core.scores.SCORES`; the paper starts from one unit's activation.

    Raises:
        ValueError: an unknown score.

    Example:
        >>> explanation = fidojax.guided_backprop(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", the largest absolute value over the channels
        >>> signed = explanation.info.gradient  # "h w c"

    Reference: Springenberg et al. 2015, section 3.4.
    """
    del key
    check_name("score", score, SCORES)
    info = relu.score_gradient(relu.guided, classifier, image, target, score)
    return Explanation(CHANNELS["max"](info.gradient), info)


def guided_gradient(
    classifier: Classifier, image: Image, target: Target, score: str = "logit"
) -> Float[Array, "h w c"]:
    """Return the signed guided gradient of the target's score, a factor of guided Grad-CAM."""
    return relu.score_gradient(relu.guided, classifier, image, target, score).gradient
