"""Input times gradient: the share of each value in the score of a linear classifier."""

from fidojax.core import SCORES, check_name, of_one_image
from fidojax.methods.attribution import CHANNELS, AttributionInfo, gradients
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Target


@of_one_image
def input_x_gradient(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    channels: str = "sum",
    score: str = "logit",
) -> Explanation:
    """Saliency by the image times the gradient of the score.

    The map is the sum over the channels with its sign, in units of the score: positive where the
    pixel speaks for the class, compared with black. `info.attribution` is the product, per channel.

    Args:
        channels: how the map is made of the channels, a name in
            `fidojax.methods.attribution.CHANNELS`.
        score: what is differentiated, a name in `fidojax.core.scores.SCORES`.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> explanation = fidojax.input_x_gradient(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", in units of the score
        >>> signed = explanation.info.attribution  # "h w c"

    Reference: Shrikumar, Greenside, Shcherbina, Kundaje, "Not Just a Black Box" (arXiv 1605.01713).
    """
    del key
    check_name("channels", channels, CHANNELS)
    check_name("score", score, SCORES)
    scores, grads = gradients(classifier, image[None], target, score)
    attribution = image * grads[0]
    return Explanation(CHANNELS[channels](attribution), AttributionInfo(attribution, scores[0]))
