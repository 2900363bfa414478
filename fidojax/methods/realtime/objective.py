"""The training objectives of Realtime: the selector's loss, and two objectives for the mask.

Dabkowski, Gal, "Real Time Image Saliency for Black Box Classifiers", NeurIPS 2017
(arXiv 1705.07857), and the authors' code.

| paper                 | here                                                            |
|-----------------------|-----------------------------------------------------------------|
| M                     | `mask`, 1 = keep                                                |
| Phi(X, M)             | `perturbed`                                                     |
| objective             | `realtime_objective` (code), `realtime_paper_objective` (paper) |
| feature filter        | `existence_loss` of the selector's activation                   |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fidojax.core import (
    gaussian_blur,
    log_probability,
    logit,
    logits_of,
    mix,
    others,
    total_variation,
    upsample,
)
from fidojax.types import Classifier, Image, Logits, Mask, PRNGKey, Scalar, Target


class RealtimeObjective(NamedTuple):
    """The training objective of one picture: the minimised value and its parts without weights.

    Attributes:
        loss: the weighted sum.
        destroyer: penalty where the picture without the kept pixels still shows the class.
        preserver: penalty where the kept pixels do not show the class.
        area: penalty of the mask's area.
        smoothness: penalty of the squared differences of neighbours.
    """

    loss: Scalar
    destroyer: Scalar
    preserver: Scalar
    area: Scalar
    smoothness: Scalar


def exists(activation: Float[Array, "rows columns"]) -> Scalar:
    """Return the selector's probability that the class is in the picture."""
    return jax.nn.sigmoid(activation.mean())


def existence_loss(
    activation: Float[Array, "rows columns"], real: bool | Bool[Array, ""]
) -> Scalar:
    """Return the training loss of the selector: the cross-entropy of `exists`, in nats.

    Args:
        activation: of the selector for a class.
        real: whether the picture has that class.

    Reference: Dabkowski & Gal 2017, section 4; the authors' code has the logits -a / 2 and a / 2.
    """
    return jax.nn.softplus(jnp.where(real, -1.0, 1.0) * activation.mean())


def realtime_objective(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    mask: Float[Array, "rows columns"],
    *,
    real: bool | Bool[Array, ""] = True,
    area: float | Scalar = 8.0,
    smoothness: float | Scalar = 0.005,
    preserver: float | Scalar = 0.3,
    power: float = 0.3,
    border: float | Scalar = 0.3,
    wins: float | Scalar = 1.0,
    loses: float | Scalar = 5.0,
    sigma: float = 11.0,
) -> RealtimeObjective:
    """Return the objective of the authors' code for one mask: hinges on the classifier's logits.

    Without the kept pixels another class should lead by `loses`; with the kept pixels alone the
    class should lead by `wins`. A mask for another class than the picture's should do the
    opposite, both by 1.

    Args:
        target: the class of the picture, also where the mask was asked for another one.
        mask: in [0, 1], 1 = keep; interpolated to the picture's sides.
        real: whether the mask was asked for `target`.
        area: weight of the mean of (mask + 0.0005) ** power.
        smoothness: weight of half the sum of squared differences of neighbours, the border's
            against 0 weighing `border`.
        preserver: weight of what is kept; that of what is not is 1.
        power: of the area.
        border: see `smoothness`.
        wins: lead of the class where it should be seen.
        loses: lead of another class where it should not.
        sigma: of the blurred picture of `perturbed`, in pixels; the authors' 11 at 224 pixels.

    Reference: the authors' code, SaliencyLoss with the weights of its training program.
    """
    mask = upsample(mask, image.shape[:2])
    kept, rest = _kept_and_rest(key, classifier, image, mask, sigma)
    edges = jnp.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    parts = {
        "destroyer": jnp.where(real, _loses(rest, target, loses), _wins(rest, target, 1.0)),
        "preserver": jnp.where(real, _wins(kept, target, wins), _loses(kept, target, 1.0)),
        "area": jnp.mean((mask + 0.0005) ** power),
        "smoothness": 0.5 * (total_variation(mask) + border * jnp.sum(edges**2)),
    }
    weights = {"destroyer": 1.0, "preserver": preserver, "area": area, "smoothness": smoothness}
    loss = sum(weights[name] * parts[name] for name in parts)
    return RealtimeObjective(jnp.asarray(loss), **parts)


def realtime_paper_objective(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    mask: Float[Array, "rows columns"],
    *,
    real: bool | Bool[Array, ""] = True,
    smoothness: float | Scalar = 10.0,
    area: float | Scalar = 1e-3,
    destroyer: float | Scalar = 5.0,
    power: float = 0.3,
    sigma: float = 11.0,
) -> RealtimeObjective:
    """Return the paper's objective for one mask: probabilities, total variation and area.

    A mask that was asked for another class than the picture's has no part in the classifier's
    terms, so that it should be empty.

    Args:
        target: the class of the picture, also where the mask was asked for another one.
        mask: in [0, 1], 1 = keep; interpolated to the picture's sides.
        real: whether the mask was asked for `target`.
        smoothness: the paper's lambda 1, weight of the total variation.
        area: lambda 2, weight of the mask's mean.
        destroyer: lambda 3, weight of the class's probability without what is kept.
        power: lambda 4, of that probability.
        sigma: as in `realtime_objective`.

    Reference: Dabkowski & Gal 2017, section 4; `docs/deviations.md`.
    """
    mask = upsample(mask, image.shape[:2])
    kept, rest = _kept_and_rest(key, classifier, image, mask, sigma)
    parts = {
        "destroyer": jnp.where(real, jnp.exp(power * log_probability(rest, target)), 0.0),
        "preserver": jnp.where(real, -log_probability(kept, target), 0.0),
        "area": jnp.mean(mask),
        "smoothness": total_variation(mask),
    }
    weights = {"destroyer": destroyer, "preserver": 1.0, "area": area, "smoothness": smoothness}
    loss = sum(weights[name] * parts[name] for name in parts)
    return RealtimeObjective(jnp.asarray(loss), **parts)


def perturbed(key: PRNGKey, image: Image, mask: Mask, sigma: float = 11.0) -> Image:
    """Return the noisy picture where the mask is 1, and a replacement where it is 0.

    The replacement is, with equal probability, the noisy picture blurred or a random colour near
    grey with noise; both are clipped to [0, 1]. No gradient goes to the picture.

    Reference: the authors' code; its pictures lie in [-1, 1], so the constants here are half.
    """
    noise_key, coin_key, colour_key, grain_key = jax.random.split(key, 4)
    image = image + 0.015 * jax.random.normal(noise_key, image.shape, image.dtype)
    tone = jax.random.uniform(colour_key, image.shape[-1:], image.dtype, 0.335, 0.665)
    colour = tone + 0.055 * jax.random.normal(grain_key, image.shape, image.dtype)
    other = jnp.where(jax.random.bernoulli(coin_key), gaussian_blur(image, sigma), colour)
    image, other = (jax.lax.stop_gradient(jnp.clip(each, 0, 1)) for each in (image, other))
    return mix(image, mask, other)


def lead(logits: Logits, target: Target) -> Float[Array, "..."]:
    """Return the logit of the target minus the largest of the others."""
    return logit(logits, target) - others(logits, target).max(axis=-1)


def _wins(logits: Logits, target: Target, by: float | Scalar) -> Scalar:
    return jax.nn.relu(by - lead(logits, target))


def _loses(logits: Logits, target: Target, by: float | Scalar) -> Scalar:
    return jax.nn.relu(by + lead(logits, target))


def _kept_and_rest(
    key: PRNGKey, classifier: Classifier, image: Image, mask: Mask, sigma: float
) -> tuple[Logits, Logits]:
    """Return the logits on the kept pixels alone and on the rest alone."""
    kept_key, rest_key = jax.random.split(key)
    kept = perturbed(kept_key, image, mask, sigma)
    rest = perturbed(rest_key, image, 1 - mask, sigma)
    logits = logits_of(classifier, jnp.stack([kept, rest]))
    return logits[0], logits[1]
