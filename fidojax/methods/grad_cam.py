"""Grad-CAM: the features of one layer, weighted by the gradient of the class's score.

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra, "Grad-CAM: Visual Explanations from Deep Networks
via Gradient-based Localization", ICCV 2017 (arXiv 1610.02391).

| paper       | here                                            |
|-------------|-------------------------------------------------|
| A^k         | `activations`, "rows columns channels"          |
| y^c         | the score of the target                         |
| alpha_k^c   | `weights`                                       |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import SCORES, check_name, of_one_image, require_features, widened
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Saliency, Scalar, Target

INTERPOLATIONS = ("bilinear", "nearest", "cubic")


class CamInfo(NamedTuple):
    """The further results of Grad-CAM.

    Attributes:
        coarse: "rows columns", >= 0, the map at the resolution of the features.
        weights: "channels", the mean over places of the gradient of the score to each feature.
        activations: "rows columns channels", the features of the image.
        score: the score that is explained, on the image.
    """

    coarse: Float[Array, "rows columns"]
    weights: Float[Array, " channels"]
    activations: Float[Array, "rows columns channels"]
    score: Scalar


@of_one_image
def grad_cam(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    interpolation: str = "bilinear",
    score: str = "logit",
) -> Explanation:
    """Saliency by the features of one layer, weighted with the score's mean gradient to each.

    The map is >= 0, in units of the features times the gradient, interpolated from `info.coarse`
    with the centres of pixels in place ("half-pixel", align_corners=False). It is zero everywhere
    where the features speak against the class.

    Args:
        classifier: one that shows its features (`fidojax.HasFeatures`): a `fidojax.Split`, one from
            an adapter with its `layer`, or one that `fidojax.networks.load` returns.
        interpolation: "bilinear", "nearest" or "cubic".
        score: what is differentiated, a name in `fidojax.core.scores.SCORES`.

    Raises:
        TypeError: the classifier gives no access to features.
        ValueError: an unknown name, or features that are no picture.

    Example:
        >>> # classifier = fidojax.networks.load().classifier, or fidojax.Split(features, head)
        >>> explanation = fidojax.grad_cam(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", at least 0
        >>> coarse = explanation.info.coarse  # at the sides of the features

    Reference: Selvaraju et al. 2017, section 3.
    """
    del key
    check_name("interpolation", interpolation, INTERPOLATIONS)
    check_name("score", score, SCORES)
    features, rest = require_features(classifier).tap(image[None])
    if features.ndim != 4:
        raise ValueError(
            f"classifier: its features have shape {features.shape}, expected (n, rows, columns,"
            " channels)"
        )

    def explained(activations):
        return SCORES[score](rest(activations[None].astype(features.dtype))[0], target)

    activations = widened(features[0])
    value, grads = jax.value_and_grad(explained)(activations)
    weights = jnp.mean(grads, axis=(0, 1))  # alpha_k^c
    coarse = jax.nn.relu(jnp.einsum("ijk,k->ij", activations, weights))
    info = CamInfo(coarse, weights, activations, value)
    return Explanation(resize(coarse, image.shape, interpolation), info)


def resize(
    coarse: Float[Array, "rows columns"], shape: tuple[int, ...], interpolation: str
) -> Saliency:
    """Return a map interpolated to the first two sides of `shape`."""
    return jax.image.resize(coarse, shape[:2], interpolation, antialias=False)
