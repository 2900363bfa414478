"""FIDO: saliency by a learned distribution over dropped pixels, which an infiller fills in.

Chang, Creager, Goldenberg, Duvenaud, "Explaining Image Classifiers by Counterfactual Generation",
ICLR 2019 (arXiv 1807.08024). VDSM, "Interpreting Neural Network Classifications with Variational
Dropout Saliency Maps" (2017), is the same method in the configuration `fidojax.presets.vdsm`.

| paper           | here                                                                       |
|-----------------|----------------------------------------------------------------------------|
| theta           | `keep`, the keep probability of each pixel; its logit is what is optimised |
| z               | `z`, the sampled mask, 1 = keep                                            |
| x-hat           | `reference`, the infill                                                    |
| phi(x, z)       | `core.mix`                                                                 |
| s_M(c)          | `score`                                                                    |
| L_SSR, L_SDR    | `ssr` and `sdr` in `core/objectives.py`                                    |

Where paper and authors' code differ, docs/deviations.md has a row.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fidojax.core import (
    OBJECTIVES,
    SCORES,
    as_fills,
    check_count,
    check_hold,
    check_name,
    optimisers,
    smoothing,
)
from fidojax.core import loop as loops
from fidojax.methods import readout
from fidojax.methods.fido.draws import NOISES, draw_noise
from fidojax.methods.fido.held import Holding
from fidojax.methods.fido.priced import Priced
from fidojax.types import Infiller, Mask, Scalar

SCHEDULES = ("linear", "cosine", "constant")


def fido_loop(
    *,
    infill: Infiller | Sequence[Infiller],
    objective: str = "ssr",
    hold: float | Scalar | str | None = None,
    lam: float | Scalar = 1e-3,
    tv: float | Scalar = 0.01,
    size: int | None = None,
    steps: int = 300,
    samples: int = 8,
    learning_rate: float | Scalar = 0.05,
    final_learning_rate: float | Scalar = 0.0,
    schedule: str = "linear",
    b2: float | Scalar = 0.999,
    scale: str = "pixel",
    smooth: float | Scalar | None = None,
    final_smooth: float | Scalar | None = None,
    temperature: float | Scalar = 0.1,
    final_temperature: float | Scalar | None = None,
    warmup: int = 30,
    start: float | Scalar | Mask = 0.5,
    noise: str = "pixel",
    antithetic: bool = False,
    average: float | Scalar = 0.0,
    score: str = "log_odds",
    pace: float | Scalar = 0.1,
    available: Mask | None = None,
) -> loops.Loop:
    """Saliency by a learned Bernoulli distribution over masks.

    The map is, per pixel, the probability in [0, 1] of being kept (SSR: the smallest region that
    supports the decision) or of being dropped (SDR: the smallest region that destroys it). The
    defaults are the authors' values.

    Args:
        infill: fills the dropped pixels; sees the rounded mask and gets no gradient. Several
            infillers share the masks of a step.
        objective: "ssr" (smallest supporting region) or "sdr" (smallest deletion region); with
            `hold` also "dual", a region that does both.
        hold: None optimises the published objective. A share between 0 and 1 asks for the smallest
            region on which the class keeps this share of its probability on the picture ("ssr"), or
            whose deletion takes this share away ("sdr"); "first" for one that keeps the class the
            first one, or makes it not the first. `lam`, `score` and the regularisers' warm-up play
            no part then. The region must hold under each infiller, with hard and with soft edges:
            besides `samples` masks, every step evaluates these views of the region itself.
        lam: weight of the expected number of kept (SSR) or dropped (SDR) pixels, a sum.
        tv: weight of the total variation of the upsampled keep probability, a sum.
        size: side of the optimised map before upsampling; a quarter of the image's sides when
            None, which is the paper's 56 at 224.
        steps: optimiser steps.
        samples: masks per step, each one evaluation of the classifier.
        learning_rate: Adam's, at the first step.
        final_learning_rate: at the last step.
        schedule: from the one to the other "linear" (the authors') or "cosine"; or "constant".
        b2: Adam's second decay.
        scale: Adam's second moment, of each "pixel" (the authors') or of the whole "map".
        smooth: when given, sigma of a Gaussian average of each gradient, as a share of the
            optimised map's shorter side.
        final_smooth: anneals that share geometrically to this value when given.
        temperature: of the Concrete relaxation.
        final_temperature: anneals the temperature geometrically to this value when given.
        warmup: number of steps over which the regularisers' weight rises linearly from 0 to full.
        start: keep probability before the first step, a number or a map of the optimised size.
        noise: one value for each "pixel" (the authors'), or one for each value of the optimised
            "map", so that the masks are as coarse as it is.
        antithetic: draw the masks in pairs of mirrored noise; needs an even `samples`.
        average: share of the last steps over which the keep probability is averaged; 0 reads out
            the last step, as the authors do.
        score: a name in `fidojax.core.scores.SCORES`.
        pace: with `hold`, the largest relative change of the area in one step.
        available: with `hold`, "h w", the region takes pixels only where this is above 0.5; all
            when None.

    Raises:
        ValueError: an unknown name, a count below 1 (odd, where `antithetic`), a hold that is no
            share, or an option that needs `hold` or is of no use with it.

    Example:
        >>> explanation = fidojax.fido(
        ...     key, classifier, image, target, infill=infillers.blur(), steps=20, samples=4
        ... )
        >>> saliency = explanation.saliency  # "h w", the keep probability of each pixel
        >>> p = explanation.info.probability  # of the class on the kept pixels alone

    Reference: FIDO section 3, Algorithm 2; with `hold`, the constraint of Rezende & Viola 2018.
    """
    check_name("schedule", schedule, SCHEDULES)
    check_name("scale", scale, optimisers.SCALES)
    check_name("noise", noise, NOISES)
    check_name("score", score, SCORES)
    check_count(steps=steps, samples=samples)
    if antithetic and samples % 2:
        raise ValueError(f"antithetic masks come in pairs: expected an even samples, got {samples}")
    if hold is None:
        check_name("objective", objective, OBJECTIVES)
        if available is not None:
            raise ValueError("available needs the option hold, which is None")
    else:
        check_hold(hold, objective)
        if score != "log_odds":
            raise ValueError(f"score is {score!r}, but with hold the margin is what is optimised")
    fills = as_fills(infill)
    rate = {
        "linear": optax.linear_schedule(learning_rate, final_learning_rate, steps),  # type: ignore[arg-type]
        "cosine": _cosine(learning_rate, final_learning_rate, steps),
        "constant": learning_rate,
    }[schedule]
    end = temperature if final_temperature is None else final_temperature
    coarse = 0.0 if smooth is None else smooth
    fine = coarse if final_smooth is None else final_smooth
    adam = optimisers.adam(rate, b2, scale)
    problem: Any = (
        Priced(fills, objective, lam, tv, samples, antithetic, score)
        if hold is None
        else Holding(fills, objective, hold, tv, samples, antithetic, pace, available)
    )

    def init(key, classifier, image, target):
        del target
        # Derived from the image so that it varies with it under shard_map, too.
        keep = readout.start_mask(start, image, size)
        theta, constant = problem.start(keep + 0 * image[0, 0, 0], classifier, image)
        return loops.start(key, theta, adam, constant)

    def step(classifier, image, target, state):
        noise_key, infill_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        draw = draw_noise(noise_key, samples, image, state.params, noise, antithetic)
        keys = jax.random.split(infill_key, problem.masks)
        now = state.step.astype(image.dtype)
        part = now / max(steps - 1, 1)
        heat = temperature * (end / temperature) ** part
        weight = jnp.minimum(now / warmup, 1.0) if warmup else 1.0

        grads, record, constant = problem.step(
            state.params, state.constant, draw, keys, classifier, image, target, heat, weight
        )
        if smooth is not None:
            sigma = min(grads.shape) * coarse * (fine / coarse) ** part
            grads = smoothing.smoothed(grads, sigma)
        state = loops.update(state, grads, adam)
        theta = problem.settle(state.params, constant)
        state = state._replace(params=theta, constant=constant)
        return loops.average_tail(state, problem.keep(theta), steps, average), record

    def finish(classifier, image, target, state, history):
        return problem.read_out(classifier, image, target, state, history)

    return loops.Loop(steps, init, step, finish, problem.masks, lambda state: state.average)


fido = loops.method(fido_loop)


def _cosine(start: float | Scalar, end: float | Scalar, steps: int) -> optax.Schedule:
    """Half a period of a cosine; `optax.cosine_decay_schedule` cannot end at a traced number."""
    return lambda count: (
        end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(count / steps, 1)))
    )
