"""FIDO's objective at a finished map, with hard masks instead of relaxed ones."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fidojax.core import OBJECTIVES, bernoulli, check_name, masked_scores, of_one_image
from fidojax.metrics.checks import check_map
from fidojax.types import Classifier, Image, Infiller, PRNGKey, Saliency, Scalar, Target


class ExpectedObjective(NamedTuple):
    """The objective at one map, and its parts.

    Attributes:
        objective: expected value of the minimised objective, with the regularisers at full weight,
            in units of the score; lower is better.
        score: mean score of the target over the sampled counterfactuals.
        error: standard error of that mean, and so of the objective.
        area: expected share of kept pixels, in [0, 1].
    """

    objective: Scalar
    score: Scalar
    error: Scalar
    area: Scalar


@of_one_image
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

    In units of the score; lower is better. It compares maps of any schedule or temperature, since
    it does not depend on the relaxation.

    Args:
        saliency: a map of FIDO, in [0, 1]: keep probability ("ssr") or drop probability ("sdr").
        infill: fills the dropped pixels, and sees those that remain.
        objective, lam, tv, score: the options of the method that made the map.
        samples: masks drawn.
        chunk: masked versions of the picture that the classifier sees at once; bounds the memory
            and changes no value.

    Raises:
        ValueError: the map's shape is not the image's, a name is unknown, or a count is below 1.

    Example:
        import infillers
        from fidojax.metrics import expected_objective

        found = expected_objective(
            key, classifier, image, target, saliency, infill=infillers.mean(), samples=8
        )
        lower_is_better = found.objective

    Reference: FIDO equations 4 and 5.
    """
    check_name("objective", objective, OBJECTIVES)
    check_map(saliency, image)
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
