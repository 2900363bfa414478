"""The training objective of VarSal's encoder for one picture and one sampled map."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from fidojax.core import check_name, class_divergence, gaussian_blur, logits_of, mix
from fidojax.methods.varsal.soft_top_k import soft_top_k
from fidojax.methods.varsal.soft_tv import soft_tv_kl, standard_normal_kl
from fidojax.methods.varsal.varsal import _check_sides, _sample
from fidojax.types import Classifier, Image, PRNGKey, Saliency, Scalar

PRIORS = ("soft_tv", "standard")

BASELINES = ("blur", "noise", "mean")
"""What replaces dropped pixels in training, drawn with equal probability."""

KEPT = (0.1, 0.9)
"""Range of the share of pixels that a sampled map keeps in training."""


class VarSalObjective(NamedTuple):
    """The training objective of one picture.

    Attributes:
        loss: reconstruction + beta * divergence, the minimised value.
        reconstruction: KL of the class probabilities of the picture to those of the perturbed one.
        divergence: KL of the posterior to the prior, summed over pixels.
    """

    loss: Scalar
    reconstruction: Scalar
    divergence: Scalar


def varsal_objective(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    mean: Saliency,
    log_variance: Saliency,
    *,
    kept: float | Scalar | None = None,
    baseline: int | Int[Array, ""] | None = None,
    baselines: tuple[str, ...] = BASELINES,
    sigma: float = 10.0,
    noise: float | Scalar = 0.2,
    epsilon: float | Scalar = 0.01,
    hard: bool = False,
    prior: str = "soft_tv",
    alpha: float = 0.4,
    beta: float | Scalar | None = None,
    half: bool = True,
) -> VarSalObjective:
    """Return the training objective of the encoder's outputs for one picture, from one sampled map.

    The sampled map's top k pixels are shown to the classifier, the others are replaced, and its
    class probabilities should stay what they were. No gradient goes to the classifier's weights
    unless it is asked for.

    Args:
        mean: "h w", of the posterior.
        log_variance: "h w", of the posterior.
        kept: k as a share of the pixels, in (0, 1); drawn from `KEPT`, uniformly, when None. The
            paper has one draw for all pictures of a step.
        baseline: which of `baselines` replaces pixels, its place there; drawn when None. The paper
            has one draw for all pictures of a step.
        baselines: some of `BASELINES`.
        sigma: of the blurred baseline, in pixels. The paper gives none; 10 is Fong & Vedaldi's,
            at 224 pixels.
        noise: standard deviation of the noise in the other two, pixels in [0, 1].
        epsilon: softness of the top k. The paper gives none, but calls the mask binary; at
            SOFT's own 0.1 hardly an entry is near 0 or 1.
        hard: the classifier sees the mask rounded, while the gradient is that of the soft one.
        prior: a name in `PRIORS`.
        alpha: covariance of neighbours in the soft-TV prior.
        beta: weight of the divergence; the paper's 1 / (10 h w) when None.
        half: the divergence with its factor 1/2, as in the paper's eq. 8. False counts it twice, as
            eq. 7 is written.

    Raises:
        ValueError: an unknown name, no baseline, or the maps' sides are not the picture's.

    Reference: VarSal sections 3 and 4.1.
    """
    check_name("prior", prior, PRIORS)
    if not baselines:
        raise ValueError(f"baselines is empty, expected at least one of {', '.join(BASELINES)}")
    for name in baselines:
        check_name("baselines", name, BASELINES)
    _check_sides(image, mean, log_variance)
    kept_key, kind_key, grain_key, sample_key = jax.random.split(key, 4)
    if kept is None:
        kept = jax.random.uniform(kept_key, (), image.dtype, *KEPT)
    if baseline is None:
        baseline = jax.random.randint(kind_key, (), 0, len(baselines))
    other = baseline_picture(grain_key, image, baseline, baselines, sigma, noise)
    mask = soft_top_k(_sample(sample_key, mean, log_variance), kept * mean.size, epsilon)
    if hard:
        mask += jax.lax.stop_gradient(jnp.round(mask) - mask)
    original = logits_of(classifier, image[None])[0]
    perturbed = logits_of(classifier, mix(image, mask, other)[None])[0]
    reconstruction = class_divergence(original, perturbed)
    if prior == "soft_tv":
        divergence = soft_tv_kl(mean, log_variance, alpha)
    else:
        divergence = standard_normal_kl(mean, log_variance)
    weight = 1 / (10 * mean.size) if beta is None else beta
    weight = weight if half else 2 * weight
    loss = reconstruction + weight * divergence  # VarSal eq. 5
    return VarSalObjective(loss, reconstruction, divergence)


def baseline_picture(
    key: PRNGKey,
    image: Image,
    baseline: int | Int[Array, ""],
    baselines: tuple[str, ...] = BASELINES,
    sigma: float = 10.0,
    noise: float | Scalar = 0.2,
) -> Image:
    """Return the picture that replaces pixels, in [0, 1]; options as in `varsal_objective`.

    "blur" is the blurred picture, "noise" Gaussian noise about grey, "mean" such noise about the
    mean of each channel.
    """
    grain = noise * jax.random.normal(key, image.shape, image.dtype)
    pictures = {
        "blur": lambda: gaussian_blur(image, sigma),
        "noise": lambda: jnp.clip(0.5 + grain, 0, 1),
        "mean": lambda: jnp.clip(image.mean((0, 1)) + grain, 0, 1),
    }
    return jax.lax.switch(baseline, [pictures[name] for name in baselines])
