"""VarSal: a saliency map as a random variable, whose posterior an encoder gives in one pass.

"Variational saliency maps for explaining model's behavior", submitted to ICLR 2021.

| paper       | here                                                           |
|-------------|----------------------------------------------------------------|
| mu, nu      | what `encoder` returns: `mean`, and exp of `log_variance`      |
| tau^(k)(s)  | `soft_top_k`, of k = `kept` times the pixels                   |
| x bar       | `baseline_picture`: blurred, noise, or the mean colour         |
| x, perturbed| `core.mix`                                                     |
| p(s)        | `soft_tv.soft_tv_kl`, or `standard_normal_kl`, of `PRIORS`     |
| objective   | `varsal_objective`, for one picture and one sample             |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import of_one_image
from fidojax.types import Classifier, Encoder, Explanation, Image, PRNGKey, Saliency, Target


class VarSalInfo(NamedTuple):
    """The further results of VarSal.

    Attributes:
        standard_deviation: "h w", of each pixel of the map, in its units; positive.
        samples: "samples h w", maps drawn from the posterior.
    """

    standard_deviation: Saliency
    samples: Float[Array, "samples h w"]


@of_one_image
def varsal(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    encoder: Encoder,
    samples: int = 0,
) -> Explanation:
    """Saliency by the mean of a posterior over maps, with its standard deviation.

    The classifier and the target are ignored by definition: an encoder explains all classes at once
    of the one classifier that it was trained for. The map has any sign; its prior has mean 0 and
    standard deviation 1 at each pixel. It is a ranking of pixels: only the order was trained.

    Args:
        encoder: see `Encoder`; it is called with the one picture as a batch.
        samples: number of maps to draw from the posterior into `info.samples`.

    Raises:
        ValueError: samples is negative, or the encoder's map has other sides than the picture.

    Example:
        >>> # encoder = fidojax.networks.load_encoder("tiny_imagenet40")
        >>> explanation = fidojax.varsal(key, classifier, image, target, encoder=encoder, samples=2)
        >>> saliency = explanation.saliency  # "h w", the mean of the posterior
        >>> spread = explanation.info.standard_deviation  # of each pixel

    Reference: "Variational saliency maps for explaining model's behavior", submitted to ICLR 2021,
    section 3.
    """
    del classifier, target
    if samples < 0:
        raise ValueError(f"samples is {samples}, expected at least 0")
    means, log_variances = encoder(image[None])
    mean, log_variance = means[0].astype(jnp.float32), log_variances[0].astype(jnp.float32)
    _check_sides(image, mean, log_variance)
    keys = jax.random.split(key, samples)
    drawn = jax.vmap(lambda key: _sample(key, mean, log_variance))(keys)
    return Explanation(mean, VarSalInfo(jnp.exp(0.5 * log_variance), drawn))


def _sample(key: PRNGKey, mean: Saliency, log_variance: Saliency) -> Saliency:
    """Draw a map from the posterior, differentiable in its parameters."""
    return mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape, mean.dtype)


def _check_sides(image: Image, *maps: Array) -> None:
    for each in maps:
        if each.shape != image.shape[:2]:
            raise ValueError(
                f"encoder: its maps have shape {each.shape}, expected the image's {image.shape[:2]}"
            )
