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

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from fidojax.core import (
    OBJECTIVES,
    SCORES,
    check_count,
    check_name,
    concrete,
    logits_of,
    mix,
    optimisers,
    smoothing,
    upsample,
)
from fidojax.core import loop as loops
from fidojax.methods import readout
from fidojax.types import Classifier, Image, Infiller, Mask, Scalar, Target

SCHEDULES = ("linear", "cosine", "constant")


def fido_loop(
    *,
    infill: Infiller,
    objective: str = "ssr",
    lam: float | Scalar = 1e-3,
    tv: float | Scalar = 0.01,
    size: int | None = None,
    steps: int = 300,
    samples: int = 8,
    learning_rate: float | Scalar = 0.05,
    schedule: str = "linear",
    b2: float | Scalar = 0.999,
    scale: str = "pixel",
    smooth: float | Scalar | None = None,
    final_smooth: float | Scalar | None = None,
    temperature: float | Scalar = 0.1,
    final_temperature: float | Scalar | None = None,
    warmup: int = 30,
    start: float | Mask = 0.5,
    antithetic: bool = False,
    average: float | Scalar = 0.0,
    score: str = "log_odds",
) -> loops.Loop:
    """Saliency by a learned Bernoulli distribution over masks.

    The map is, per pixel, the probability in [0, 1] of being kept (SSR: the smallest region that
    supports the decision) or of being dropped (SDR: the smallest region that destroys it). The
    defaults are the authors' values.

    Args:
        infill: fills the dropped pixels; sees the rounded mask and gets no gradient.
        objective: "ssr" (smallest supporting region) or "sdr" (smallest deletion region).
        lam: weight of the expected number of kept (SSR) or dropped (SDR) pixels, a sum.
        tv: weight of the total variation of the upsampled keep probability, a sum.
        size: side of the optimised map before upsampling; a quarter of the image's sides when
            None, which is the paper's 56 at 224.
        steps: optimiser steps.
        samples: masks per step, each one evaluation of the classifier.
        learning_rate: Adam's, at the first step.
        schedule: "linear" to 0 (the authors'), "cosine" to 0, or "constant".
        b2: Adam's second decay.
        scale: Adam's second moment, of each "pixel" (the authors') or of the whole "map".
        smooth: when given, sigma of a Gaussian average of each gradient, as a share of the
            optimised map's shorter side.
        final_smooth: anneals that share geometrically to this value when given.
        temperature: of the Concrete relaxation.
        final_temperature: anneals the temperature geometrically to this value when given.
        warmup: number of steps over which the regularisers' weight rises linearly from 0 to full.
        start: keep probability before the first step, a number or a map of the optimised size.
        antithetic: draw the masks in pairs of mirrored noise; needs an even `samples`.
        average: share of the last steps over which the keep probability is averaged; 0 reads out
            the last step, as the authors do.
        score: a name in `fidojax.core.scores.SCORES`.

    Raises:
        ValueError: an unknown name, or a count below 1 (odd, where `antithetic`).

    Example:
        >>> explanation = fidojax.fido(
        ...     key, classifier, image, target, infill=infillers.blur(), steps=20, samples=4
        ... )
        >>> saliency = explanation.saliency  # "h w", the keep probability of each pixel
        >>> p = explanation.info.probability  # of the class on the kept pixels alone

    Reference: FIDO section 3, Algorithm 2.
    """
    check_name("objective", objective, OBJECTIVES)
    check_name("schedule", schedule, SCHEDULES)
    check_name("scale", scale, optimisers.SCALES)
    check_name("score", score, SCORES)
    check_count(steps=steps, samples=samples)
    if antithetic and samples % 2:
        raise ValueError(f"antithetic masks come in pairs: expected an even samples, got {samples}")
    rate = {
        "linear": optax.linear_schedule(learning_rate, 0.0, steps),  # type: ignore[arg-type]
        "cosine": optax.cosine_decay_schedule(learning_rate, steps),  # type: ignore[arg-type]
        "constant": learning_rate,
    }[schedule]
    end = temperature if final_temperature is None else final_temperature
    coarse = 0.0 if smooth is None else smooth
    fine = coarse if final_smooth is None else final_smooth
    adam = optimisers.adam(rate, b2, scale)

    def init(key, classifier, image, target):
        del classifier, target
        # Derived from the image so that it varies with it under shard_map, too.
        keep = readout.start_mask(start, image, size)
        theta = jax.scipy.special.logit(keep) + 0 * image[0, 0, 0]
        return loops.start(key, theta, adam)

    def step(classifier, image, target, state):
        noise_key, infill_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        shape = image.shape[:2]
        if antithetic:
            half = jax.random.logistic(noise_key, (samples // 2, *shape), image.dtype)
            noise = jnp.concatenate([half, -half])
        else:
            noise = jax.random.logistic(noise_key, (samples, *shape), image.dtype)
        now = state.step.astype(image.dtype)
        part = now / max(steps - 1, 1)
        heat = temperature * (end / temperature) ** part
        weight = jnp.minimum(now / warmup, 1.0) if warmup else 1.0

        def loss(theta):
            return sampled_objective(
                theta,
                noise,
                jax.random.split(infill_key, samples),
                classifier,
                image,
                target,
                infill=infill,
                objective=objective,
                lam=lam,
                tv=tv,
                temperature=heat,
                warmup=weight,
                score=score,
            )

        (value, mean), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        if smooth is not None:
            sigma = min(grads.shape) * coarse * (fine / coarse) ** part
            grads = smoothing.smoothed(grads, sigma)
        state = loops.update(state, grads, adam)
        state = loops.average_tail(state, jax.nn.sigmoid(state.params), steps, average)
        return state, loops.Record(value, mean)

    def finish(classifier, image, target, state, history):
        return readout.read_out(
            state.key,
            classifier,
            image,
            target,
            state.average,
            history,
            infill=infill,
            objective=objective,
        )

    return loops.Loop(steps, init, step, finish, samples, lambda state: state.average)


fido = loops.method(fido_loop)


def sampled_objective(
    theta: Float[Array, "rows columns"],
    noise: Float[Array, "samples h w"],
    keys: Key[Array, " samples"],
    classifier: Classifier,
    image: Image,
    target: Target,
    *,
    infill: Infiller,
    objective: str,
    lam: float | Scalar,
    tv: float | Scalar,
    temperature: float | Scalar,
    warmup: float | Scalar = 1.0,
    score: str = "log_odds",
) -> tuple[Scalar, Scalar]:
    """Return the minimised value and the mean score of one step, differentiable in `theta`.

    Args:
        theta: logit of the keep probability, before upsampling.
        noise: standard logistic noise, one map per mask.
        keys: one per mask, for the infiller.
        warmup: the regularisers' weight in this step, in [0, 1].

    The other arguments are those of `fido_loop`.
    """
    keep = upsample(jax.nn.sigmoid(theta), image.shape[:2])
    z = jax.vmap(lambda n: concrete(n, keep, temperature))(noise)
    # The classifier sees the relaxed mask, the infiller the rounded one, and no gradient passes it.
    hard = jax.lax.stop_gradient(jnp.round(z))
    reference = jax.lax.stop_gradient(jax.vmap(infill, in_axes=(0, None, 0))(keys, image, hard))
    logits = logits_of(classifier, jax.vmap(mix, in_axes=(None, 0, 0))(image, z, reference))
    mean = jnp.mean(SCORES[score](logits, target))
    return OBJECTIVES[objective](mean, keep, lam, tv, warmup), mean
