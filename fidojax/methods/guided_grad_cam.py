"""Guided Grad-CAM: the product of guided backpropagation and Grad-CAM.

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra, "Grad-CAM: Visual Explanations from Deep Networks
via Gradient-based Localization", ICCV 2017 (arXiv 1610.02391).
"""

from typing import NamedTuple

from jaxtyping import Array, Float

from fidojax.core import check_name, of_one_image
from fidojax.methods.attribution import CHANNELS, Attribution
from fidojax.methods.class_activation import Grid
from fidojax.methods.grad_cam import grad_cam
from fidojax.methods.guided_backprop import guided_gradient
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Saliency, Scalar, Target


class GuidedCamInfo(NamedTuple):
    """The further results of guided Grad-CAM.

    Attributes:
        attribution: "h w c", the product, with the sign of guided backprop.
        cam: "h w", >= 0, the map of Grad-CAM.
        coarse: "rows columns", the same at the resolution of the features.
        score: the score that is explained, on the image.
    """

    attribution: Attribution
    cam: Saliency
    coarse: Float[Array, "rows columns"]
    score: Scalar


@of_one_image
def guided_grad_cam(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    interpolation: str = "bilinear",
    channels: str = "max",
    score: str = "logit",
    grid: Grid | None = None,
) -> Explanation:
    """Saliency by the product of guided backprop and Grad-CAM.

    The map is the largest absolute value over the channels, >= 0; `info.attribution` is the product
    with its sign.

    Args:
        classifier: one that gives access to its features, see `grad_cam`.
        interpolation: of Grad-CAM's map, "bilinear" (the paper's), "nearest" or "cubic".
        channels: how the map is made of the channels, a name in
            `fidojax.methods.attribution.CHANNELS`.
        score: what is differentiated, a name in `fidojax.core.scores.SCORES`.
        grid: (rows, columns) of a transformer's patches, see `grad_cam`.

    Raises:
        TypeError: the classifier gives no access to features.
        ValueError: an unknown name, or features that are no picture.

    Example:
        >>> # classifier = fidojax.networks.load().classifier, or fidojax.Split(features, head)
        >>> explanation = fidojax.guided_grad_cam(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", at least 0
        >>> cam = explanation.info.cam  # "h w", Grad-CAM's own map

    Reference: Selvaraju et al. 2017, section 3.2.
    """
    check_name("channels", channels, CHANNELS)
    cam, info = grad_cam(
        key, classifier, image, target, interpolation=interpolation, score=score, grid=grid
    )
    guided = guided_gradient(classifier, image, target, score)
    attribution = guided * cam[..., None]
    return Explanation(
        CHANNELS[channels](attribution),
        GuidedCamInfo(attribution, cam, info.coarse, info.score),
    )
