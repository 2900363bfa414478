"""Deconvnet: the gradient with ReLUs that rectify the backward signal.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014 (arXiv
1311.2901), in the form of Springenberg et al. 2015, Figure 1c.
"""

from fidojax.core import SCORES, check_name, of_one_image
from fidojax.methods.attribution import CHANNELS
from fidojax.transforms import relu
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Target


@of_one_image
def deconvnet(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    score: str = "logit",
) -> Explanation:
    """Saliency by the gradient with every ReLU's backward pass replaced by a ReLU.

    The map is the largest absolute value over the channels, at least 0, in score per unit of
    brightness; `info.gradient` is signed. ReLUs are found in the classifier's program
    (`fidojax.transforms.relu`); all other operations, maximum pooling among them, keep their
    gradient. For a classifier without ReLUs the result is the plain gradient.

    Args:
        score: a name in `fidojax.core.scores.SCORES`; the paper starts from one unit's activation.

    Raises:
        ValueError: an unknown score.

    Example:
        >>> explanation = fidojax.deconvnet(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", the largest absolute value over the channels
        >>> signed = explanation.info.gradient  # "h w c"

    Reference: Zeiler & Fergus 2014, section 2.1.
    """
    del key
    check_name("score", score, SCORES)
    info = relu.score_gradient(relu.deconvnet, classifier, image, target, score)
    return Explanation(CHANNELS["max"](info.gradient), info)
