"""The objective that FIDO minimises, at a finished map and without its relaxation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fidojax.core import OBJECTIVES, bernoulli, check_name, masked_scores
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target


class ExpectedObjective(NamedTuple):
    """What `expected_objective` returns for one picture.

    Attributes:
        objective: the expected minimised value, regularisers at full weight; lower is better.
        score: mean score of the target over the sampled counterfactuals.
        error: standard error of that mean, hence of the objective.
        area: expected share of kept pixels, in [0, 1].
    """

    objective: Scalar
    score: Scalar
    error: Scalar
    area: Scalar


def expected_objective(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    objective: str = "ssr",
    lam: float | Scalar = 1e-3,
    tv: float | Scalar = 0.01,
    samples: int = 64,
    chunk: int = 64,
    score: str = "log_odds",
) -> ExpectedObjective:
    """FIDO's objective in expectation over hard Bernoulli masks of the map's probabilities.

    Compares maps of any schedule or temperature, since nothing of the relaxation is left in it.

    Args:
        saliency: a map of FIDO, in [0, 1]: keep probability ("ssr") or drop probability ("sdr").
        objective, lam, tv, score: as the map's own method takes them.
        samples: masks drawn.
        chunk: pictures that the classifier sees at once; bounds the memory, changes no value.

    Raises:
        ValueError: the map's shape is not the image's, an unknown name, or a count below 1.

    Reference: FIDO equations 4 and 5.
    """
    check_name("objective", objective, OBJECTIVES)
    if saliency.shape != image.shape[:2]:
        raise ValueError(f"saliency has shape {saliency.shape}, expected {image.shape[:2]}")
    keep = saliency if objective == "ssr" else 1 - saliency
    mask_key, infill_key = jax.random.split(key)
    scores = masked_scores(
        infill_key, classifier, image, target,
        lambda i: bernoulli(jax.random.fold_in(mask_key, i), keep).astype(image.dtype), samples,
        infill=infill, score=score, chunk=chunk,
    )  # fmt: skip
    mean = scores.mean()
    return ExpectedObjective(
        OBJECTIVES[objective](mean, keep, lam, tv),
        mean,
        jnp.sqrt(scores.var() / max(samples - 1, 1)),
        keep.mean(),
    )
