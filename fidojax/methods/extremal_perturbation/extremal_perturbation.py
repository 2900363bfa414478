"""Extremal Perturbation: the smooth mask of a given area with the highest score of the class.

Fong, Patrick, Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth Masks",
ICCV 2019 (arXiv 1910.08485), with the constants of the authors' code.

| paper          | here                                                                        |
|----------------|-----------------------------------------------------------------------------|
| m-bar          | `grid`, what is optimised                                                   |
| m              | `masks`, `smooth_mask` of the grid, one per area                            |
| m tensor x     | `perturbation.perturb`, or the picture mixed with an infill                 |
| R_a(m)         | `area_loss`                                                                 |
| Phi            | `reward`                                                                    |
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fidojax.core import (
    SCORES,
    check_count,
    check_name,
    logits_of,
    mix,
    others,
    probability,
    sgd,
    smoothed,
    widened,
)
from fidojax.core import loop as loops
from fidojax.methods.extremal_perturbation.perturbation import PERTURBATIONS, blur_pyramid, perturb
from fidojax.methods.extremal_perturbation.smooth_mask import area_loss, smooth_mask
from fidojax.types import Explanation, Image, Infiller, Logits, Mask, Scalar, Target

VARIANTS = ("preserve", "delete", "dual")


class ExtremalInfo(NamedTuple):
    """The further results of Extremal Perturbation.

    Attributes:
        objective: "steps", the negated energy, summed over areas.
        score: "steps", the reward, averaged over areas.
        areas: the shares asked for, of the mask with its border around the image.
        masks: "areas h w", the region of each area, in [0, 1].
        probabilities: "areas", p(target) on the picture that each mask preserves (deletes).
        keep: "h w", mean over areas of what stays visible: the map, one minus it for "delete".
        mixture: "h w c", the picture seen through `keep`.
        probability: p(target) on the mixture.
        original: p(target) on the image.
    """

    objective: Float[Array, " steps"]
    score: Float[Array, " steps"]
    areas: Float[Array, " areas"]
    masks: Float[Array, "areas h w"]
    probabilities: Float[Array, " areas"]
    keep: Mask
    mixture: Image
    probability: Scalar
    original: Scalar


def extremal_perturbation_loop(
    *,
    areas: float | Scalar | Sequence[float | Scalar] | Float[Array, " areas"] = 0.1,
    variant: str = "preserve",
    perturbation: str = "blur",
    infill: Infiller | None = None,
    contrast: str | Target | None = None,
    score: str = "logit",
    steps: int = 800,
    learning_rate: float | Scalar = 0.01,
    momentum: float | Scalar = 0.9,
    dampening: float | Scalar = 0.9,
    area_weight: float | Scalar = 300.0,
    area_growth: float | Scalar = 1.0035,
    levels: int = 8,
    stride: int | None = None,
    sigma: int | None = None,
    max_blur: int | None = None,
    color: float | Float[Array, "..."] | None = None,
    jitter: bool = True,
    smooth: float | Scalar | None = None,
) -> loops.Loop:
    """Saliency by the smooth mask of a given area that changes the class most.

    The map is the mask in [0, 1], the mean over masks for several areas (the authors' sum over
    their number). The defaults are the authors' values.

    Args:
        areas: share of the mask in (0, 1), or several, which are optimised side by side; the
            authors' benchmarks take 0.025, 0.05, 0.1, 0.2 with `smooth` 0.09.
        variant: "preserve", the mask keeps the class; "delete", dropping it destroys the class;
            "dual", both at once.
        perturbation: "blur" or "fade", how the picture goes where the mask is below 1.
        infill: fills the picture instead, where given; it is shown the rounded mask.
        contrast: what the reward is compared with: a class, "max" for the best other one, or None.
        score: the reward, a name in `fidojax.core.scores.SCORES`.
        steps: optimiser steps, each one evaluation per area, two for "dual".
        learning_rate, momentum, dampening: of gradient descent; the first step is not damped.
        area_weight: weight of the area term before the first step.
        area_growth: its factor from one step to the next.
        levels: strengths of the perturbation.
        stride: pixels between the grid's nodes; 7 at 224 pixels, in proportion elsewhere.
        sigma: in pixels, twice the radius of the smallest region; three strides when None.
        max_blur: sigma of the strongest blur in pixels; 20 at 224, in proportion elsewhere.
        color: beyond the border, and what is faded to, in [0, 1]; the picture's mean when None.
        jitter: flip what the classifier sees on every second step, from left to right.
        smooth: sigma of a last blur of the map, as a share of the image's shorter side.

    Raises:
        ValueError: an unknown name, a count below 1 (levels: 2), or an area outside (0, 1).

    Example:
        >>> explanation = fidojax.extremal_perturbation(
        ...     key, classifier, image, target, areas=(0.1, 0.3), steps=10
        ... )
        >>> saliency = explanation.saliency  # "h w", mean over the areas
        >>> masks = explanation.info.masks  # one per area

    Reference: Fong, Patrick and Vedaldi 2019.
    """
    check_name("variant", variant, VARIANTS)
    check_name("perturbation", perturbation, PERTURBATIONS)
    check_name("score", score, SCORES)
    if isinstance(contrast, str):
        check_name("contrast", contrast, ("max",))
    chosen = {"stride": stride, "sigma": sigma, "max_blur": max_blur}
    check_count(steps=steps, **{k: v for k, v in chosen.items() if v is not None})
    if levels < 2:
        raise ValueError(f"levels is {levels}, expected at least 2")
    for area in areas if isinstance(areas, Sequence) else [areas]:
        if isinstance(area, float | int) and not 0 < area < 1:
            raise ValueError(f"areas has {area}, expected shares between 0 and 1")
    descent = sgd(learning_rate, momentum, dampening)

    def spacing(image):
        return stride or max(1, round(7 * min(image.shape[:2]) / 224))

    def build(grids, image):
        """The masks on the image and with their border, of each grid."""
        step, shape = spacing(image), image.shape[:2]
        return jax.vmap(lambda grid: smooth_mask(grid, shape, step, sigma or 3 * step))(grids)

    def see(key, image, levels_of_image, masks):
        """The picture seen through each mask."""
        if infill is None:
            return jax.vmap(perturb, in_axes=(None, 0))(levels_of_image, masks)
        keys = jax.random.split(key, masks.shape[0])
        hard = jax.lax.stop_gradient(jnp.round(masks))
        reference = jax.vmap(infill, in_axes=(0, None, 0))(keys, image, hard)
        return jax.vmap(mix, in_axes=(None, 0, 0))(image, masks, jax.lax.stop_gradient(reference))

    def shares(image):
        return jnp.atleast_1d(jnp.asarray(areas, image.dtype))

    def init(key, classifier, image, target):
        del classifier, target
        shape = (len(shares(image)), *(-(-n // spacing(image)) for n in image.shape[:2]))
        grids = jnp.ones(shape, image.dtype) + 0 * image[0, 0, 0]
        constant = ()
        if infill is None:
            ends = image.mean(axis=(0, 1)) if color is None else jnp.asarray(color, image.dtype)
            strongest = max_blur or 20 * min(image.shape[:2]) / 224
            constant = blur_pyramid(image, perturbation, levels, strongest, ends)
        return loops.start(key, grids, descent, constant)

    def step(classifier, image, target, state):
        key = jax.random.fold_in(state.key, state.step)
        weight = area_weight * area_growth ** state.step.astype(image.dtype)

        def loss(grids):
            masks, whole = build(grids, image)
            shown = {"preserve": masks, "delete": 1 - masks,
                     "dual": jnp.concatenate([masks, 1 - masks])}[variant]  # fmt: skip
            pictures = see(key, image, state.constant, shown)
            if jitter:
                pictures = jnp.where(state.step % 2 == 0, pictures[:, :, ::-1], pictures)
            rewards = reward(logits_of(classifier, pictures), target, score, contrast)
            rewards = -rewards if variant == "delete" else rewards
            if variant == "dual":
                rewards = rewards[: len(masks)] - rewards[len(masks) :]
            energy = rewards - weight * jax.vmap(area_loss)(whole, shares(image))
            return -jnp.sum(energy), jnp.mean(rewards)

        (value, mean), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        state = loops.update(state, grads, descent)
        # After the step and outside the gradient: a node at a bound can come back.
        state = state._replace(params=jnp.clip(state.params, 0, 1))
        return state, loops.Record(value, mean)

    def finish(classifier, image, target, state, history):
        masks, _ = build(state.params, image)
        kept = 1 - masks if variant == "delete" else masks
        key = jax.random.fold_in(state.key, steps)
        seen = see(key, image, state.constant, jnp.concatenate([kept, kept.mean(0)[None]]))
        *each, shown, original = probability(
            logits_of(classifier, jnp.concatenate([seen, image[None]])), target
        )
        saliency = masks.mean(axis=0)
        if smooth is not None:
            saliency = smoothed(saliency, smooth * min(image.shape[:2]))
        info = ExtremalInfo(
            objective=history.objective,
            score=history.score,
            areas=shares(image),
            masks=masks,
            probabilities=jnp.stack(each),
            keep=kept.mean(axis=0),
            mixture=seen[-1],
            probability=shown,
            original=original,
        )
        return Explanation(saliency, info)

    return loops.Loop(
        steps, init, step, finish, jnp.asarray(areas).size * (2 if variant == "dual" else 1)
    )


extremal_perturbation = loops.method(extremal_perturbation_loop)


def reward(
    logits: Logits, target: Target, score: str = "logit", contrast: str | Target | None = None
) -> Float[Array, "..."]:
    """Return the score of the target minus that of the class it is contrasted with.

    Args:
        contrast: a class, "max" for the one with the largest logit besides the target, or None.
    """
    own = SCORES[score](logits, target)
    if contrast is None:
        return own
    if isinstance(contrast, str):
        best = jnp.argmax(others(logits, target), axis=-1)[..., None]
        return own - jnp.take_along_axis(widened(logits), best, axis=-1)[..., 0]
    return own - SCORES[score](logits, contrast)
