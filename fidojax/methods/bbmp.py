"""BBMP as FIDO's authors ran it: one soft mask, no sampling.

Fong & Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation", ICCV 2017,
in the form of FIDO section 3.2 and Algorithm 1. The method as first published, with its blurred and
jittered mask, is `fidojax.methods.meaningful_perturbation`. With a generative infiller this is the
BBMP-CA of FIDO section 4.6, `threshold` its tau.
"""

import jax
import jax.numpy as jnp
import optax

from fidojax.core import (
    OBJECTIVES,
    SCORES,
    check_count,
    check_name,
    logits_of,
    mix,
    saliency_of,
    upsample,
)
from fidojax.core import loop as loops
from fidojax.methods import readout
from fidojax.types import Infiller, Mask, Scalar


def bbmp_loop(
    *,
    infill: Infiller,
    objective: str = "ssr",
    lam: float | Scalar = 5e-3,
    tv: float | Scalar = 0.01,
    size: int | None = None,
    steps: int = 300,
    learning_rate: float | Scalar = 0.05,
    warmup: int = 1,
    start: float | Scalar | Mask = 1.0,
    threshold: float | Scalar = 1.0,
    score: str = "log_odds",
) -> loops.Loop:
    """Saliency by one soft mask in [0, 1], found by gradient descent.

    The map is the mask (SSR) or one minus the mask (SDR) after the last update, which may leave
    [0, 1] by that update, about learning_rate / steps; `info.keep` is clipped. The defaults are
    FIDO's authors' values.

    Args:
        infill: fills the picture; it is given the pixels with mask >= `threshold`.
        objective: "ssr" or "sdr".
        lam: weight of the sum of the mask (SSR) or of one minus the mask (SDR).
        tv: weight of the total variation of the upsampled mask.
        size: side of the optimised mask; a quarter of the image's sides when None (56 at 224).
        steps: optimiser steps, each one evaluation of the classifier.
        learning_rate: Adam's, decaying linearly to 0.
        warmup: number of steps over which the regularisers' weight rises to full.
        start: the mask before the first step, a number or a map of the optimised size.
        threshold: FIDO's tau in [0, 1].
        score: a name in `fidojax.core.scores.SCORES`.

    Raises:
        ValueError: an unknown name, or a count below 1.

    Example:
        >>> explanation = fidojax.bbmp(
        ...     key, classifier, image, target, infill=infillers.blur(), objective="sdr", steps=20
        ... )
        >>> saliency = explanation.saliency  # "h w", 1 where a pixel is dropped
        >>> losses = explanation.info.objective  # one per step

    Reference: FIDO section 3.2, Algorithm 1.
    """
    check_name("objective", objective, OBJECTIVES)
    check_name("score", score, SCORES)
    check_count(steps=steps)
    adam = optax.adam(optax.linear_schedule(learning_rate, 0.0, steps))  # type: ignore[arg-type]

    def init(key, classifier, image, target):
        del classifier, target
        mask = readout.start_mask(start, image, size)
        return loops.start(key, mask + 0 * image[0, 0, 0], adam)

    def step(classifier, image, target, state):
        infill_key = jax.random.fold_in(state.key, state.step)
        weight = jnp.minimum(state.step.astype(image.dtype) / warmup, 1.0) if warmup else 1.0

        def loss(mask):
            keep = upsample(mask, image.shape[:2])
            hard = jax.lax.stop_gradient((keep >= threshold).astype(image.dtype))
            reference = jax.lax.stop_gradient(infill(infill_key, image, hard))
            logits = logits_of(classifier, mix(image, keep, reference)[None])[0]
            value = SCORES[score](logits, target)
            return OBJECTIVES[objective](value, keep, lam, tv, weight), value

        # Clipped before the forward pass, outside the gradient: a pixel at a bound can come back.
        clipped = mask_of(state)
        (objective_value, score_value), grads = jax.value_and_grad(loss, has_aux=True)(clipped)
        state = loops.update(state._replace(params=clipped), grads, adam)
        return state, loops.Record(objective_value, score_value)

    def finish(classifier, image, target, state, history):
        explanation = readout.read_out(
            state.key,
            classifier,
            image,
            target,
            mask_of(state),
            history,
            infill=infill,
            objective=objective,
        )
        # Not clipped, as the authors' is not: the last update ranks the pixels at a bound.
        mask = upsample(state.params, image.shape[:2])
        return explanation._replace(saliency=saliency_of(objective, mask))

    def mask_of(state):
        return jnp.clip(state.params, 0.0, 1.0)

    return loops.Loop(steps, init, step, finish, 1, mask_of)


bbmp = loops.method(bbmp_loop)
