"""The trajectory of a nonlinear saliency map: blur what matters least, enhance the rest, repeat.

| paper             | here                                                                    |
|-------------------|-------------------------------------------------------------------------|
| sensitivity       | the gradient of the class's probability                                 |
| sensitivity_norm  | its Euclidean norm over colours                                         |
| L                 | the norm below which a share `level` of all pixels lies                 |
| blur_below_level  | `smoothed`, with `sigma`, where a pixel is not `sharp`                  |
| littleH           | `step_size`                                                             |
| mask_below_level  | `masked`                                                                |
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fidojax.core import check_count, check_name, log_odds, logits_of, probability, smoothed
from fidojax.core import loop as loops
from fidojax.types import Classifier, Explanation, Image, Mask, Scalar, Target

NORMALISATIONS = ("max", "none")
Levels = Sequence[float | Scalar] | Float[Array, " levels"]
LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 0.95)
"""Shares of blurred pixels at which the paper's Figure 1 shows the picture."""


class NonlinearInfo(NamedTuple):
    """The trajectory: its first point is the image, and every step adds one.

    Attributes:
        objective: "steps", minus p(target) before each step.
        probabilities: "points", p(target).
        level: "points", share of the pixels that the step to this point blurred.
        sharp: "points h w", the pixels that it did not blur.
        levels: "levels", the option `levels`.
        images: "levels h w c", the picture at the last point up to each of these levels.
        threshold: the share of blurred pixels at which p(target) first is on its plateau.
        best: the point of the largest p(target).
        mixture: "h w c", the picture there.
        keep: "h w", 1 where it is sharp, else 0.
        probability: p(target) on it.
        original: p(target) on the image.
        removed: "h w c", the image with only those pixels blurred that are sharp at the last point.
        probability_removed: p(target) on that.
    """

    objective: Float[Array, " steps"]
    probabilities: Float[Array, " points"]
    level: Float[Array, " points"]
    sharp: Bool[Array, "points h w"]
    levels: Float[Array, " levels"]
    images: Float[Array, "levels h w c"]
    threshold: Scalar
    best: Int[Array, ""]
    mixture: Image
    keep: Mask
    probability: Scalar
    original: Scalar
    removed: Image
    probability_removed: Scalar


class NonlinearState(NamedTuple):
    """The state of the trajectory between two steps.

    Attributes:
        step: number of steps done.
        image: the picture now.
        best: the most probable picture before this one.
        best_probability: p(target) on it.
        images: as in `NonlinearInfo`.
        frozen: for the linear map the enhancement at the original image, else nothing.
    """

    step: Int[Array, ""]
    image: Image
    best: Image
    best_probability: Scalar
    images: Float[Array, "levels h w c"]
    frozen: Any


class NonlinearRecord(NamedTuple):
    """One step's entry in the history.

    Attributes:
        objective: minus p(target) before the step.
        sharp: "h w", the pixels that the step left sharp.
    """

    objective: Scalar
    sharp: Bool[Array, "h w"]


def trajectory_loop(
    *,
    linear: bool,
    steps: int = 95,
    repeats: int = 1,
    top: float | Scalar = 0.95,
    step_size: float | Scalar = 0.01,
    sigma: float | Scalar = 1.0,
    normalise: str = "max",
    plateau: float | Scalar = 0.95,
    removal_sigma: float | Scalar | None = None,
    levels: Levels = LEVELS,
) -> loops.Loop:
    """Return the loop of both maps; `linear` keeps the gradient at the original image.

    The other arguments are those of `nonlinear_saliency`.
    """
    check_name("normalise", normalise, NORMALISATIONS)
    check_count(steps=steps, repeats=repeats)
    if steps % repeats:
        raise ValueError(f"steps is {steps}, expected a multiple of repeats, {repeats}")

    def level_after(count):
        """Return the share of pixels that step `count`, from 1, blurs; 0 for the image itself."""
        return top * jnp.ceil(count / repeats) / (steps // repeats)

    def init(key, classifier, image, target):
        del key
        kept = jnp.asarray(levels, image.dtype)
        start = image + 0 * image[0, 0, 0]
        return NonlinearState(
            step=jnp.zeros((), jnp.int32),
            image=start,
            best=start,
            best_probability=jnp.zeros((), image.dtype) - 1,
            images=jnp.broadcast_to(start, (kept.size, *image.shape)),
            frozen=_enhancement(classifier, image, target, normalise)[1] if linear else (),
        )

    def step(classifier, image, target, state):
        if linear:
            now, enhancement = _probability(classifier, state.image, target), state.frozen
        else:
            now, enhancement = _enhancement(classifier, state.image, target, normalise)
        level = level_after((state.step + 1).astype(image.dtype))
        sharp = _above(_square(enhancement), level)
        pushed = jnp.clip(state.image + step_size * enhancement, 0, 1)
        new = jnp.where(sharp[..., None], pushed, _blur(state.image, sigma))  # steps 2 and 3
        reached = level <= jnp.asarray(levels, image.dtype) + 1e-6
        better = now > state.best_probability
        state = NonlinearState(
            step=state.step + 1,
            image=new,
            best=jnp.where(better, state.image, state.best),
            best_probability=jnp.where(better, now, state.best_probability),
            images=jnp.where(reached[:, None, None, None], new, state.images),
            frozen=state.frozen,
        )
        return state, NonlinearRecord(-now, sharp)

    def finish(classifier, image, target, state, history):
        wide = sigma * jnp.sqrt(float(steps)) if removal_sigma is None else removal_sigma
        removed = jnp.where(history.sharp[-1][..., None], _blur(image, wide), image)
        logits = logits_of(classifier, jnp.stack([state.image, removed]))
        last, without = probability(logits, target)
        probabilities = jnp.append(-history.objective, last)
        level = level_after(jnp.arange(steps + 1, dtype=image.dtype))
        everything = jnp.ones((1, *image.shape[:2]), bool)
        sharp = jnp.concatenate([everything, history.sharp])
        best = jnp.argmax(probabilities)
        info = NonlinearInfo(
            objective=history.objective,
            probabilities=probabilities,
            level=level,
            sharp=sharp,
            levels=jnp.asarray(levels, image.dtype),
            images=state.images,
            threshold=level[jnp.argmax(probabilities >= plateau * probabilities[best])],
            best=best,
            mixture=jnp.where(last > state.best_probability, state.image, state.best),
            keep=sharp[best].astype(image.dtype),
            probability=probabilities[best],
            original=probabilities[0],
            removed=removed,
            probability_removed=without,
        )
        return Explanation(history.sharp.mean(axis=0, dtype=image.dtype), info)

    return loops.Loop(steps, init, step, finish, 1)


def _probability(classifier: Classifier, image: Image, target: Target) -> Scalar:
    return jax.nn.sigmoid(log_odds(logits_of(classifier, image[None])[0], target)).astype(
        image.dtype
    )


def _enhancement(
    classifier: Classifier, image: Image, target: Target, normalise: str
) -> tuple[Scalar, Image]:
    """Return p(target) and its gradient, divided by the largest norm if asked for."""
    # The gradient of p is p (1 - p) that of the log-odds, which stays exact where p rounds to 1.

    def evidence(image):
        return log_odds(logits_of(classifier, image[None])[0], target)

    odds, grad = jax.value_and_grad(evidence)(image)
    now, rest = (jax.nn.sigmoid(sign * odds).astype(image.dtype) for sign in (1, -1))
    if normalise == "none":
        return now, now * rest * grad  # step 1
    largest = jnp.max(_square(grad))
    return now, grad / jnp.sqrt(jnp.where(largest > 0, largest, 1))


def _square(vectors: Image) -> Mask:
    """Return the squared norm over colours, which ranks as the norm and is smooth at 0."""
    return jnp.sum(vectors**2, axis=-1)


def _above(norm: Float[Array, "h w"], level: Scalar) -> Bool[Array, "h w"]:
    """Return all pixels but the share `level` with the smallest norms; ties in row-major order."""
    rank = jnp.argsort(jnp.argsort(norm.ravel())).reshape(norm.shape)
    return rank >= jnp.round(level * norm.size)


def _blur(image: Image, sigma: float | Scalar) -> Image:
    return jax.vmap(smoothed, in_axes=(2, None), out_axes=2)(image, sigma)


def masked(
    image: Image, sharp: Bool[Array, "h w"], background: float | Float[Array, "..."] = 1.0
) -> Image:
    """Return the picture with all pixels that are not sharp covered, by white in the paper."""
    return jnp.where(sharp[..., None], image, jnp.asarray(background, image.dtype))


def masked_map(
    image: Image,
    info: NonlinearInfo,
    level: float | Scalar = 0.95,
    background: float | Float[Array, "..."] = 1.0,
) -> Image:
    """Return the paper's saliency map: the sharp pixels of one point, white elsewhere.

    Args:
        level: share of covered pixels; the trajectory's nearest point is taken.
    """
    point = jnp.argmin(jnp.abs(info.level - level))
    return masked(image, info.sharp[point], background)
