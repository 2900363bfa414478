"""Grad-CAM: the features of one layer, weighted by the gradient of the class's score.

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra, "Grad-CAM: Visual Explanations from Deep Networks
via Gradient-based Localization", ICCV 2017 (arXiv 1610.02391).

| paper       | here                                            |
|-------------|-------------------------------------------------|
| A^k         | `activations`, "rows columns channels"          |
| y^c         | the score of the target                         |
| alpha_k^c   | `weights`                                       |
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import of_one_image
from fidojax.methods.class_activation import Features, Grid, class_activation
from fidojax.types import Classifier, Explanation, Image, PRNGKey, Target


@of_one_image
def grad_cam(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    interpolation: str = "bilinear",
    score: str = "logit",
    grid: Grid | None = None,
) -> Explanation:
    """Saliency by the features of one layer, weighted with the score's mean gradient to each.

    The map is >= 0, in units of the features times the gradient, interpolated from `info.coarse`
    with the centres of pixels in place ("half-pixel", align_corners=False). It is zero everywhere
    where the features speak against the class.

    Args:
        classifier: one that shows its features (`fidojax.HasFeatures`): a `fidojax.Split`, one from
            an adapter with its `layer`, or one that `fidojax.networks.load` returns. The features
            are "n rows columns channels", or a transformer's tokens "n tokens channels".
        interpolation: "bilinear", "nearest" or "cubic".
        score: what is differentiated, a name in `fidojax.core.scores.SCORES`.
        grid: (rows, columns) of a transformer's patches, row by row; the tokens before them, for
            the class or registers, are left out. When None, the patches make a square, with or
            without one token for the class.

    Raises:
        TypeError: the classifier gives no access to features.
        ValueError: an unknown name, features that are no picture, or tokens that are no grid.

    Example:
        >>> # classifier = fidojax.networks.load().classifier, or fidojax.Split(features, head)
        >>> explanation = fidojax.grad_cam(key, classifier, image, target)
        >>> saliency = explanation.saliency  # "h w", at least 0
        >>> coarse = explanation.info.coarse  # at the sides of the features

    Reference: Selvaraju et al. 2017, section 3.
    """
    del key
    return class_activation(
        classifier,
        image,
        target,
        weigh=_mean_gradient,
        interpolation=interpolation,
        score=score,
        grid=grid,
    )


def _mean_gradient(features: Features, gradients: Features) -> Float[Array, " channels"]:
    del features
    return jnp.mean(gradients, axis=(0, 1))  # alpha_k^c
