"""FIDO: which pixels, dropped and filled in by a generative model, would change the decision?

Chang, Creager, Goldenberg, Duvenaud, "Explaining Image Classifiers by Counterfactual Generation",
ICLR 2019 (arXiv 1807.08024). VDSM, "Interpreting Neural Network Classifications with Variational
Dropout Saliency Maps" (2017), is the same method in the configuration `fidojax.presets.vdsm`.

| paper           | here                                                                       |
|-----------------|----------------------------------------------------------------------------|
| theta           | `keep`, the keep probability of each pixel; its logit is what is optimised |
| z               | `z`, the sampled mask, 1 = keep                                            |
| x-hat           | `reference`, the infill                                                    |
| phi(x, z)       | `counterfactual.mix`                                                       |
| s_M(c)          | `score`                                                                    |
| L_SSR, L_SDR    | `objective`                                                                |

Where paper and authors' code differ, docs/deviations.md has a row.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fidojax import loop as loops
from fidojax.counterfactual import mix
from fidojax.masks import concrete, upsample
from fidojax.methods import readout
from fidojax.objective import OBJECTIVES, minimised, saliency
from fidojax.score import SCORES
from fidojax.types import (
    Classifier,
    Explanation,
    Image,
    Infiller,
    Mask,
    PRNGKey,
    Scalar,
    Target,
)

SCHEDULES = ("linear", "cosine", "constant")


class FidoInfo(NamedTuple):
    """What a FIDO run leaves besides the map.

    Attributes:
        objective: "steps", the minimised value, with its regularisers at their warm-up weight.
        score: "steps", mean score of the target over the sampled counterfactuals.
        keep: "h w", keep probability.
        reference: "h w c", one infill given the pixels with keep > 0.5.
        mixture: "h w c", those pixels on that infill: what the classifier sees of the explanation.
        probability: p(target) on the mixture.
        original: p(target) on the image.
    """

    objective: Float[Array, " steps"]
    score: Float[Array, " steps"]
    keep: Mask
    reference: Image
    mixture: Image
    probability: Scalar
    original: Scalar


def fido(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options
) -> Explanation:
    """Saliency by a learned Bernoulli distribution over masks.

    The map is, per pixel, the probability in [0, 1] of being kept (SSR: the smallest region that
    supports the decision) or of being dropped (SDR: the smallest region that destroys it).
    The options are those of `fido_loop`; `infill` has no default. Errors: as `fido_loop`.

    Reference: FIDO section 3, Algorithm 2.
    """
    return loops.run(fido_loop(**options), key, classifier, image, target)


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
    temperature: float | Scalar = 0.1,
    final_temperature: float | Scalar | None = None,
    warmup: int = 30,
    start: float | Mask = 0.5,
    antithetic: bool = False,
    average: float | Scalar = 0.0,
    score: str = "log_odds",
) -> loops.Loop:
    """FIDO's optimisation with its options filled in; the defaults are the authors' values.

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
        temperature: of the Concrete relaxation.
        final_temperature: anneals the temperature geometrically to this value when given.
        warmup: the regularisers' weight rises linearly from 0 to full over so many steps.
        start: keep probability before the first step, a number or a map of the optimised size.
        antithetic: draw the masks in pairs of mirrored noise; needs an even `samples`.
        average: share of the last steps over which the keep probability is averaged; 0 reads out
            the last step, as the authors do.
        score: a name in `fidojax.score.SCORES`.

    Raises:
        ValueError: an unknown name, or a count below 1 (odd, where `antithetic`).
    """
    readout.check_choice("objective", objective, OBJECTIVES)
    readout.check_choice("schedule", schedule, SCHEDULES)
    readout.check_choice("score", score, tuple(SCORES))
    readout.check_count(steps=steps, samples=samples)
    if antithetic and samples % 2:
        raise ValueError(f"antithetic masks come in pairs: expected an even samples, got {samples}")
    rate = {
        "linear": optax.linear_schedule(learning_rate, 0.0, steps),  # type: ignore[arg-type]
        "cosine": optax.cosine_decay_schedule(learning_rate, steps),  # type: ignore[arg-type]
        "constant": learning_rate,
    }[schedule]
    end = temperature if final_temperature is None else final_temperature
    adam = optax.adam(rate, b1=0.9, b2=b2, eps=1e-8)  # type: ignore[arg-type]

    def init(key, classifier, image, target):
        del classifier, target
        keep = jnp.broadcast_to(
            jnp.asarray(start, image.dtype), readout.optimised_shape(image, size)
        )
        # Derived from the image so that it varies with it under shard_map, too.
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
        heat = temperature * (end / temperature) ** (now / max(steps - 1, 1))
        weight = jnp.minimum(now / warmup, 1.0) if warmup else 1.0

        def loss(theta):
            keep = upsample(jax.nn.sigmoid(theta), shape)
            z = jax.vmap(lambda n: concrete(n, keep, heat))(noise)
            hard = jax.lax.stop_gradient(jnp.round(z))
            keys = jax.random.split(infill_key, samples)
            reference = jax.lax.stop_gradient(
                jax.vmap(infill, in_axes=(0, None, 0))(keys, image, hard)
            )
            logits = classifier(jax.vmap(mix, in_axes=(None, 0, 0))(image, z, reference))
            mean = jnp.mean(SCORES[score](logits, target))
            return minimised(objective, mean, keep, lam, tv, weight), mean

        (value, mean), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        state = loops.update(state, grads, adam)
        state = loops.average_tail(state, jax.nn.sigmoid(state.params), steps, average)
        return state, loops.Record(value, mean)

    def finish(classifier, image, target, state, history):
        keep = upsample(state.average, image.shape[:2])
        reference, mixture, shown, original = readout.counterfactual(
            state.key, classifier, image, target, keep, infill
        )
        info = FidoInfo(history.objective, history.score, keep, reference, mixture, shown, original)
        return Explanation(saliency(objective, keep), info)

    return loops.Loop(steps, init, step, finish, samples)
