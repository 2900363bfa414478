"""BBMP as first published: a coarse deletion mask, blurred, jittered, on the softmax probability.

Fong & Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful Perturbation", ICCV 2017
(arXiv 1704.03296), with the constants of the authors' code. Only the deletion game exists there.
The variant that FIDO compares with is `fidojax.methods.bbmp`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from fidojax.core import (
    check_count,
    check_name,
    gaussian_blur,
    logits_of,
    mix,
    real_target,
    widened,
)
from fidojax.core import loop as loops
from fidojax.methods import readout
from fidojax.types import Classifier, Explanation, Image, Infiller, Mask, PRNGKey, Scalar


class _Constant(NamedTuple):
    reference: Image  # the null image, made once
    classes: Float[Array, " k"]  # 1 for the classes whose probabilities are summed


def meaningful_perturbation_loop(
    *,
    infill: Infiller,
    lam: float | Scalar = 1e-4,
    tv: float | Scalar = 1e-2,
    tv_exponent: float | Scalar = 3.0,
    steps: int = 300,
    learning_rate: float | Scalar = 0.1,
    scale: int = 8,
    mask_blur: int = 5,
    jitter: int = 4,
    init_mask: str = "circle",
    top_classes: int = 0,
) -> loops.Loop:
    """Saliency by the smallest smooth region whose deletion destroys the class.

    The map is one minus the blurred mask, in [0, 1]. The defaults are the authors' values.

    Args:
        infill: makes the null image, once.
        lam: weight of the sum of |mask - 1| over the coarse mask.
        tv: weight of the coarse mask's total variation.
        tv_exponent: the total variation is the sum of |gradient| to this power.
        steps: optimiser steps, each one evaluation of the classifier.
        learning_rate: Adam's, constant.
        scale: image pixels per mask pixel and axis.
        mask_blur: sigma in image pixels of the blur on the enlarged mask; the backward pass ignores
            the blur, as the authors' does. 0 leaves it out.
        jitter: number of pixels by which image and null image are enlarged, to be cropped at a
            random offset in every step; 0 leaves it out.
        init_mask: "circle", the smallest blurred centred disc whose deletion brings the class
            99% of the way to the null image's score, or "random", uniform noise.
        top_classes: number of the image's most probable classes whose probabilities are summed
            instead of the target's own; 5 in the authors' localisation variant (with lam 1e-3 and
            tv_exponent 2).

    Raises:
        ValueError: an unknown name, or a count below 1.

    Example:
        >>> explanation = fidojax.meaningful_perturbation(
        ...     key, classifier, image, target, infill=infillers.blur(), steps=20
        ... )
        >>> saliency = explanation.saliency  # "h w", 1 where a pixel is deleted
        >>> p = explanation.info.probability  # of the class on the picture that is left

    Reference: Fong & Vedaldi 2017, section 4.
    """
    check_name("init_mask", init_mask, ("circle", "random"))
    check_count(steps=steps, scale=scale)
    adam = optax.adam(learning_rate)  # type: ignore[arg-type]

    def init(key, classifier, image, target):
        key, infill_key, noise_key = jax.random.split(key, 3)
        reference = infill(infill_key, image, jnp.zeros(image.shape[:2], image.dtype))
        logits = logits_of(classifier, image[None])[0]
        real = real_target(target, logits.shape[-1])
        classes = jax.nn.one_hot(target, logits.shape[-1], dtype=image.dtype)
        classes = classes if real is None else real * classes
        if top_classes:
            _, best = jax.lax.top_k(logits, top_classes)
            classes = jax.nn.one_hot(best, logits.shape[-1], dtype=image.dtype).sum(axis=0)
        shape = tuple(-(-n // scale) for n in image.shape[:2])
        if init_mask == "random":
            mask = jax.random.uniform(noise_key, shape, image.dtype)
        else:
            mask = _circle(classifier, image, reference, classes, shape)
        return loops.start(key, mask + 0 * image[0, 0, 0], adam, _Constant(reference, classes))

    def step(classifier, image, target, state):
        del target
        reference, classes = state.constant
        shifted, null = _jitter(jax.random.fold_in(state.key, state.step), image, reference, jitter)

        def loss(mask):
            keep = _enlarge(mask, image.shape[:2], scale, mask_blur)
            logits = logits_of(classifier, mix(shifted, keep, null)[None])[0]
            score = jnp.sum(classes * jax.nn.softmax(widened(logits)))
            area = lam * jnp.sum(1 - mask)  # mask <= 1, so this is the L1 norm
            return score + area + tv * _total_variation(mask, tv_exponent), score

        clipped = mask_of(state)
        (value, score), grads = jax.value_and_grad(loss, has_aux=True)(clipped)
        return loops.update(state._replace(params=clipped), grads, adam), loops.Record(value, score)

    def finish(classifier, image, target, state, history):
        keep = _enlarge(mask_of(state), image.shape[:2], scale, mask_blur)
        reference = state.constant.reference
        info = readout.mask_info(classifier, image, target, keep, reference, history)
        return Explanation(1 - keep, info)

    def mask_of(state):
        return jnp.clip(state.params, 0.0, 1.0)

    return loops.Loop(steps, init, step, finish, 1, mask_of)


meaningful_perturbation = loops.method(meaningful_perturbation_loop)


def _enlarge(
    mask: Float[Array, "rows columns"], shape: tuple[int, ...], scale: int, sigma: int
) -> Mask:
    """Enlarge a mask by nearest neighbours, then blur it; the blur has the identity as gradient."""
    large = jnp.repeat(jnp.repeat(mask, scale, axis=0), scale, axis=1)[: shape[0], : shape[1]]
    if not sigma:
        return large
    # The authors blur a picture of 8-bit values.
    soft = jnp.round(gaussian_blur(jnp.round(large * 255)[..., None], sigma)[..., 0]) / 255
    return large + jax.lax.stop_gradient(soft - large)


def _total_variation(mask: Mask, exponent: float | Scalar) -> Scalar:
    down = jnp.diff(mask, axis=0, append=mask[-1:])
    right = jnp.diff(mask, axis=1, append=mask[:, -1:])
    # The floor keeps the gradient finite where the mask is flat, as the authors' code does.
    return jnp.sum(jnp.sqrt(jnp.maximum(down**2 + right**2, 1e-10)) ** exponent)


def _jitter(key: PRNGKey, image: Image, reference: Image, jitter: int) -> tuple[Image, Image]:
    if not jitter:
        return image, reference
    height, width, channels = image.shape
    both = jnp.stack([image, reference])
    large = jax.image.resize(
        both, (2, height + jitter, width + jitter, channels), "linear", antialias=False
    )
    y, x = jax.random.randint(key, (2,), 0, jitter)
    crop = jax.lax.dynamic_slice(large, (0, y, x, 0), both.shape)
    return crop[0], crop[1]


def _circle(
    classifier: Classifier,
    image: Image,
    reference: Image,
    classes: Float[Array, " k"],
    shape: tuple[int, int],
) -> Float[Array, "rows columns"]:
    """Return one minus the smallest blurred disc whose deletion leaves 1% of the score's range."""
    height, width = image.shape[:2]
    y = np.arange(height)[:, None] - (height - 1) / 2
    x = np.arange(width)[None, :] - (width - 1) / 2
    # The authors' radii 0, 5, ..., 170 and blur 10 at 224 pixels.
    unit = min(height, width) / 224
    radii = 5 * unit * np.arange(35)
    discs = jnp.asarray(y**2 + x**2 <= radii[:, None, None] ** 2, image.dtype)
    discs = jax.vmap(lambda d: gaussian_blur(d[..., None], 10 * unit)[..., 0])(discs)

    def score(picture):
        logits = logits_of(classifier, picture[None])[0]
        return jnp.sum(classes * jax.nn.softmax(widened(logits)))

    # One after the other: 35 pictures at once would need more memory than any later step.
    scores = jax.lax.map(lambda disc: score(mix(image, 1 - disc, reference)), discs)
    low, high = score(reference), score(image)
    enough = (scores - low) / jnp.where(high == low, 1.0, high - low) < 0.01
    first = jnp.where(jnp.any(enough), jnp.argmax(enough), len(radii) - 1)
    return 1 - jax.image.resize(discs[first], shape, "nearest")
