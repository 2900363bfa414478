"""SmoothGrad and its kin: a gradient method's mean, mean square or variance under noise."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from fidojax.core import SCORES, check_count, check_name, logits_of, of_one_image, with_options_of
from fidojax.methods.attribution import CHANNELS, Attribution, AttributionInfo, mean_and_variance
from fidojax.methods.gradient import gradient
from fidojax.methods.input_x_gradient import input_x_gradient
from fidojax.methods.integrated_gradients import integrated_gradients
from fidojax.types import Classifier, Explanation, Image, Method, PRNGKey, Scalar, Target

INNER: dict[str, tuple[Method, int]] = {
    "gradient": (gradient, 1),
    "input_x_gradient": (input_x_gradient, 1),
    "integrated_gradients": (integrated_gradients, 50),
}
"""name -> the method, and the number of pictures that it shows the classifier at once."""

Statistic = Callable[[Attribution, Attribution], Attribution]


def under_noise(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    statistic: Statistic,
    method: str | Method = "gradient",
    noise: float | Scalar = 0.15,
    samples: int = 50,
    channels: str = "max",
    score: str = "logit",
    chunk: int = 64,
) -> Explanation:
    """Return a statistic of a gradient method's attributions to noisy copies of the image.

    Args:
        statistic: of the mean and the variance over the copies.

    The other options are those of `smoothgrad`.
    """
    check_name("channels", channels, CHANNELS)
    check_name("score", score, SCORES)
    check_count(samples=samples, chunk=chunk)
    if isinstance(method, str):
        check_name("method", method, INNER)
        named, pictures = INNER[method]
        inner: Any = partial(named, score=score)
        chunk = max(1, chunk // pictures)
    else:
        inner = method
    sigma = noise * (jnp.max(image) - jnp.min(image))

    def attribute(index):
        noise_key, inner_key = jax.random.split(jax.random.fold_in(key, index))
        copy = image + sigma * jax.random.normal(noise_key, image.shape, image.dtype)
        return inner(inner_key, classifier, copy, target).info.attribution

    weights = jnp.full(samples, 1 / samples, image.dtype)
    attribution = statistic(*mean_and_variance(jax.vmap(attribute), weights, chunk))
    value = SCORES[score](logits_of(classifier, image[None])[0], target)
    return Explanation(CHANNELS[channels](attribution), AttributionInfo(attribution, value))


@of_one_image
@with_options_of(under_noise, "statistic")
def smoothgrad(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options: Any
) -> Explanation:
    """Saliency by the mean of a gradient method over noisy copies of the image.

    The map is the largest absolute value over the channels, >= 0, in the inner method's units;
    `info.attribution` is the mean with its sign. The copies are not clipped to [0, 1]. The defaults
    are the paper's: 50 copies, and noise within its 10% to 20%.

    Args:
        method: what is averaged: a name in `INNER`, or any function of the method signature that
            leaves `info.attribution`, say `functools.partial(expected_gradients, infill=...)`.
        noise: standard deviation as a share of the image's own range, its highest value minus its
            lowest.
        samples: copies, each one evaluation of the inner method.
        channels: how the map is made of the channels, a name in
            `fidojax.methods.attribution.CHANNELS`.
        score: what the named methods differentiate, a name in `fidojax.core.scores.SCORES`; a
            function has its own.
        chunk: pictures that the classifier sees at once, or copies that a function is given at
            once; bounds the memory, changes no value.

    Raises:
        ValueError: an unknown name, or a count below 1.

    Example:
        >>> explanation = fidojax.smoothgrad(
        ...     key, classifier, image, target, method="input_x_gradient", samples=10
        ... )
        >>> saliency = explanation.saliency  # "h w", the largest absolute value over the channels
        >>> signed = explanation.info.attribution  # "h w c"

    Reference: Smilkov, Thorat, Kim, Viégas, Wattenberg, "SmoothGrad: removing noise by adding
    noise" (arXiv 1706.03825), section 3.
    """
    return under_noise(
        key, classifier, image, target, statistic=lambda mean, variance: mean, **options
    )


@of_one_image
@with_options_of(under_noise, "statistic")
def smoothgrad_squared(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options: Any
) -> Explanation:
    """Saliency by the mean square of a gradient method over noisy copies of the image.

    The map is the largest value over the channels, >= 0, in the inner method's units squared. The
    options and errors are those of `smoothgrad`.

    Example:
        >>> explanation = fidojax.smoothgrad_squared(key, classifier, image, target, samples=10)
        >>> saliency = explanation.saliency  # "h w", in units of the gradient squared
        >>> squares = explanation.info.attribution  # "h w c"

    Reference: Hooker, Erhan, Kindermans, Kim, "A Benchmark for Interpretability Methods in Deep
    Neural Networks", NeurIPS 2019 (arXiv 1806.10758), "SmoothGrad-Squared".
    """
    return under_noise(
        key,
        classifier,
        image,
        target,
        statistic=lambda mean, variance: variance + mean**2,
        **options,
    )


@of_one_image
@with_options_of(under_noise, "statistic")
def vargrad(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options: Any
) -> Explanation:
    """Saliency by the variance of a gradient method over noisy copies of the image.

    The map is the largest value over the channels, >= 0, in the inner method's units squared; the
    variance is that of the drawn copies (divided by their number). A classifier without curvature
    has none. The options and errors are those of `smoothgrad`.

    Example:
        >>> explanation = fidojax.vargrad(key, classifier, image, target, noise=0.2, samples=10)
        >>> saliency = explanation.saliency  # "h w", in units of the gradient squared
        >>> variance = explanation.info.attribution  # "h w c"

    Reference: Adebayo, Gilmer, Goodfellow, Kim, "Local Explanation Methods for Deep Neural Networks
    Lack Sensitivity to Parameter Values", ICLR workshop 2018 (arXiv 1810.03307), "VarGrad".
    """
    return under_noise(
        key, classifier, image, target, statistic=lambda mean, variance: variance, **options
    )
