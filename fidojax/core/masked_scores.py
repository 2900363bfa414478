"""Scores of many masked versions of one image, in fixed memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fidojax.core.checks import check_count, check_name
from fidojax.core.contract import logits_of
from fidojax.core.mix import mix
from fidojax.core.scores import SCORES
from fidojax.types import Classifier, Image, Images, Infiller, Mask, PRNGKey, Target


def masked_scores(
    key: PRNGKey,
    classifier: Classifier,
    image: Image,
    target: Target,
    make_mask: Callable[[Int[Array, ""]], Mask],
    count: int,
    *,
    infill: Infiller,
    score: str,
    chunk: int,
) -> Float[Array, " count"]:
    """Return the score of the image seen through each hard mask make_mask(0), make_mask(1), ...

    The classifier sees `chunk` mixtures at a time, so memory does not grow with `count`. Infill and
    mask of an index do not depend on `chunk`.

    Raises:
        ValueError: the score is unknown, or a count is below 1.
    """
    check_name("score", score, SCORES)

    def value(images: Images) -> Float[Array, " chunk"]:
        return SCORES[score](logits_of(classifier, images), target)

    return masked_values(key, value, image, make_mask, count, infill=infill, chunk=chunk)


def masked_values(
    key: PRNGKey,
    value: Callable[[Images], Float[Array, " chunk"]],
    image: Image,
    make_mask: Callable[[Int[Array, ""]], Mask],
    count: int,
    *,
    infill: Infiller,
    chunk: int,
) -> Float[Array, " count"]:
    """Return `value(images)` of the images that `masked_scores` shows to its classifier."""

    def mixture(index: Int[Array, ""]) -> Image:
        mask = make_mask(index)
        return mix(image, mask, infill(jax.random.fold_in(key, index), image, mask))

    def values(indices: Int[Array, " chunk"]) -> Float[Array, " chunk"]:
        return value(jax.vmap(mixture)(indices))

    return in_chunks(values, count, chunk)


def in_chunks(values: Callable[[Int[Array, " chunk"]], Any], count: int, chunk: int) -> Any:
    """Return the values of the indices 0 ... count - 1, computed `chunk` at a time.

    Args:
        values: of several indices, an array or a tree of arrays with a leading axis of indices.
        count: the number of indices.
        chunk: the number of indices at once; the last chunk is filled up with its final index.

    Raises:
        ValueError: a count is below 1.
    """
    check_count(count=count, chunk=chunk)
    chunk = min(chunk, count)
    # The last chunk is filled up with its final index, so that one program serves all chunks.
    chunks = -(-count // chunk)
    indices = jnp.minimum(jnp.arange(chunks * chunk), count - 1).reshape(chunks, chunk)
    found = jax.lax.map(values, indices)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], found)


def rank(values: Mask) -> Int[Array, "h w"]:
    """Return the rank of every pixel, 0 for the largest value; ties are in row-major order."""
    order = jnp.argsort(values.ravel(), stable=True, descending=True)
    place = jnp.zeros_like(order).at[order].set(jnp.arange(order.size, dtype=order.dtype))
    return place.reshape(values.shape)
