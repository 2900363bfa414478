"""Mixture: whether the class survives on the pixels that a map keeps, and on any others.

FIDO's Figures 2 and 4 show the mixture that an explanation gives the classifier, with the class's
probability on it. Three control masks of exactly the same area put that number in proportion.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from fidojax.core import (
    OBJECTIVES,
    bernoulli,
    check_name,
    logits_of,
    mix,
    of_one_image,
    probability,
    rank,
    upsample,
)
from fidojax.metrics.checks import check_map
from fidojax.metrics.curve import has_order
from fidojax.types import Classifier, Image, Infiller, Mask, PRNGKey, Saliency, Scalar, Target


class Mixture(NamedTuple):
    """The probabilities of the class on the mixtures of one picture; all values in [0, 1].

    All but `original` is NaN where the map is not finite.

    Attributes:
        probability: p(target) on the map's own mixture; higher is better for a keep map.
        area: share of kept pixels, equal for all four masks.
        random: p(target) where the same number of pixels is kept at random, independently.
        coarse: p(target) where smooth blobs of that area are kept: bilinear noise at a quarter of
            the image's sides, the resolution of FIDO's own map.
        center: p(target) where the pixels nearest to the centre are kept, a centred box.
        sampled: mean p(target) over hard masks drawn from the map, the quantity that FIDO
            optimises.
        sampled_area: expected share of kept pixels of such a mask.
        sampled_random: mean p(target) over hard masks that keep every pixel with the probability
            `sampled_area`.
        original: p(target) on the image.
        image: "h w c", the map's own mixture.
    """

    probability: Scalar
    area: Scalar
    random: Scalar
    coarse: Scalar
    center: Scalar
    sampled: Scalar
    sampled_area: Scalar
    sampled_random: Scalar
    original: Scalar
    image: Image


@of_one_image
def mixture(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    saliency: Saliency,
    *,
    infill: Infiller,
    objective: str = "ssr",
    threshold: float | Scalar = 0.5,
    samples: int = 8,
) -> Mixture:
    """The class's probability on the picture with the dropped pixels filled in, beside controls.

    Probabilities in [0, 1]; higher is better.

    Args:
        saliency: a map in [0, 1]: keep probability ("ssr") or drop probability ("sdr").
        infill: fills the dropped pixels; all masks are filled with the same key.
        objective: the meaning of the map, a name in `fidojax.core.OBJECTIVES`.
        threshold: pixels with a keep probability above it are kept.
        samples: hard masks drawn from the map, and from its control.

    Raises:
        ValueError: the map's shape is not the image's, or the objective is unknown.

    Example:
        import infillers
        from fidojax.metrics import mixture

        found = mixture(key, classifier, image, target, saliency, infill=infillers.mean())
        better_than_chance = found.probability - found.random

    Reference: FIDO section 4.2 (the map's own mixture).
    """
    check_name("objective", objective, OBJECTIVES)
    check_map(saliency, image)
    infill_key, random_key, coarse_key = jax.random.split(key, 3)
    drawn_key = jax.random.fold_in(key, 0)
    keep = saliency if objective == "ssr" else 1 - saliency
    own = keep > threshold
    count = own.sum()
    shape = (image.shape[0], image.shape[1])
    orders = controls((random_key, coarse_key), shape)
    masks = jnp.stack([own, *(rank(order) < count for order in orders)]).astype(image.dtype)

    def see(mask: Mask) -> Image:
        return mix(image, mask, infill(infill_key, image, mask))

    seen = jax.vmap(see)(masks)
    shown = probability(logits_of(classifier, jnp.concatenate([seen, image[None]])), target)

    def draw(key: PRNGKey, keep: Mask) -> Scalar:
        mask_key, infill_key = jax.random.split(key)
        mask = bernoulli(mask_key, keep)
        picture = mix(image, mask, infill(infill_key, image, mask))
        return probability(logits_of(classifier, picture[None])[0], target)

    keys = jax.random.split(drawn_key, samples)
    flat = jnp.full_like(keep, keep.mean())
    found = Mixture(
        probability=shown[0],
        area=masks[0].mean(),
        random=shown[1],
        coarse=shown[2],
        center=shown[3],
        sampled=jax.vmap(draw, in_axes=(0, None))(keys, keep).mean(),
        sampled_area=keep.mean(),
        sampled_random=jax.vmap(draw, in_axes=(0, None))(keys, flat).mean(),
        original=shown[4],
        image=seen[0],
    )
    found = jax.tree.map(lambda value: jnp.where(has_order(saliency), value, jnp.nan), found)
    return found._replace(original=shown[4])


def controls(keys: tuple[PRNGKey, PRNGKey], shape: tuple[int, int]) -> tuple[Mask, Mask, Mask]:
    """Maps that do not depend on the picture: random pixels, random blobs, nearness to the centre.

    Blobs are bilinear noise at a quarter of the sides, the resolution of FIDO's own map.
    """
    coarse = (-(-shape[0] // 4), -(-shape[1] // 4))
    return (
        jax.random.uniform(keys[0], shape),
        upsample(jax.random.uniform(keys[1], coarse), shape),
        -_distance(shape),
    )


def _distance(shape: tuple[int, int]) -> Mask:
    """The distance from the centre in shares of the sides, in the maximum norm."""
    y, x = (jnp.abs(jnp.arange(n) - (n - 1) / 2) / n for n in shape)
    return jnp.maximum(y[:, None], x[None, :])
