"""The gradient of a class's score to the values of the image."""

from fidojax.core import SCORES, check_name, of_one_image
from fidojax.methods.attribution import CHANNELS, AttributionInfo, gradients
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Target


@of_one_image
def gradient(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    channels: str = "max",
    score: str = "logit",
) -> Explanation:
    """Saliency by the gradient of the score to the image.

    The map is the largest absolute value over the channels, >= 0, in score per unit of brightness
    (black to white is 1). `info.attribution` is the gradient itself, with its sign. At a kink it is
    JAX's: `jax.nn.relu` has slope 0 at 0, `jnp.maximum(x, 0)` has 1/2.

    Args:
        channels: how the map is made of the channels, a name in
            `fidojax.methods.attribution.CHANNELS`.
        score: what is differentiated, a name in `fidojax.core.scores.SCORES`.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> explanation = fidojax.gradient(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", the largest absolute value over the channels
        >>> signed = explanation.info.attribution  # "h w c"

    Reference: Simonyan, Vedaldi, Zisserman, "Deep Inside Convolutional Networks", ICLR workshop
    2014 (arXiv 1312.6034), section 3.
    """
    del key
    check_name("channels", channels, CHANNELS)
    check_name("score", score, SCORES)
    scores, grads = gradients(classifier, image[None], target, score)
    return Explanation(CHANNELS[channels](grads[0]), AttributionInfo(grads[0], scores[0]))
