"""RISE: the mean score of randomly masked pictures, each pixel weighted by how much it was seen.

Petsiuk, Das & Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models",
BMVC 2018 (arXiv 1806.07421).

| paper       | here                                                          |
|-------------|---------------------------------------------------------------|
| N           | `samples`                                                     |
| s, p        | `size`, `keep`                                                |
| M_i         | `draw_mask`, from the key folded with i: no mask is stored    |
| I ⊙ M_i     | `core.mix`, on black where no infiller is given               |
| S           | the running mean of `contributions`                           |
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fidojax.core import (
    SCORES,
    Moments,
    add,
    black,
    check_count,
    check_name,
    interpolation,
    logits_of,
    mix,
    none_of,
    of_one_image,
    separable,
    standard_error,
    with_options_of,
)
from fidojax.core import loop as loops
from fidojax.methods.readout import harden
from fidojax.types import (
    Classifier,
    Explanation,
    Image,
    Infiller,
    Mask,
    PRNGKey,
    Saliency,
    Scalar,
    Target,
)


class RiseInfo(NamedTuple):
    """The further results of RISE.

    Attributes:
        standard_error: "h w", of the map as a mean over masks; infinite after a single mask.
        masks: the number of masks used.
        original: score of the image.
    """

    standard_error: Saliency
    masks: Int[Array, ""]
    original: Scalar


class State(NamedTuple):
    """The state between two chunks of masks.

    Attributes:
        step: number of chunks done.
        moments: of the contributions of all masks so far.
        key: the picture's key; mask `i` comes from `fold_in(key, i)`.
    """

    step: Int[Array, ""]
    moments: Moments
    key: PRNGKey


class Record(NamedTuple):
    """One chunk's entry in the history.

    Attributes:
        masks: number of masks done.
        error: the largest standard error of the map.
    """

    masks: Int[Array, ""]
    error: Scalar


def rise_loop(
    *,
    infill: Infiller | None = None,
    samples: int = 4000,
    size: int = 7,
    keep: float | Scalar = 0.5,
    centred: bool = False,
    tolerance: float | Scalar | None = None,
    score: str = "probability",
    chunk: int = 128,
) -> loops.Loop:
    """Return `rise` as a loop over chunks of masks; a map that has converged does not change."""
    check_name("score", score, SCORES)
    check_count(samples=samples, chunk=chunk)
    if size < 2:
        raise ValueError(f"size is {size}, expected at least 2 cells")
    chunk = min(chunk, samples)
    fill = black if infill is None else infill

    def init(key, classifier, image, target):
        del classifier, target
        # Derived from the image so that it varies with it under shard_map, too.
        return State(jnp.zeros((), jnp.int32), none_of(0 * image[..., 0]), key)

    def step(classifier, image, target, state):
        index = state.step * chunk + jnp.arange(chunk)

        def see(index):
            mask_key, infill_key = jax.random.split(jax.random.fold_in(state.key, index))
            mask = draw_mask(mask_key, image.shape[:2], size, jnp.asarray(keep, image.dtype))
            return mask, mix(image, mask, fill(infill_key, image, harden(mask)))

        masks, pictures = jax.vmap(see)(index)
        scores = SCORES[score](logits_of(classifier, pictures), target).astype(image.dtype)
        values = contributions(scores, masks, keep, centred)
        moments = add(state.moments, values, index < samples)
        if tolerance is not None:
            # A picture of a batch may be done before the others.
            done = _converged(state, tolerance)
            moments = jax.tree.map(
                lambda old, new: jnp.where(done, old, new), state.moments, moments
            )
        record = Record(moments.count, standard_error(moments).max())
        return State(state.step + 1, moments, state.key), record

    def finish(classifier, image, target, state, history):
        del history
        moments = state.moments
        original = SCORES[score](logits_of(classifier, image[None])[0], target)
        info = RiseInfo(standard_error(moments), moments.count, original)
        return Explanation(moments.mean, info)

    return loops.Loop(-(-samples // chunk), init, step, finish, chunk)


@of_one_image
@with_options_of(rise_loop)
def rise(
    key: PRNGKey, classifier: Classifier, image: Image, target: Target, **options: Any
) -> Explanation:
    """Saliency by the mean score of randomly masked pictures in which the pixel is seen.

    The map is E[f(x * m) m] / p, in units of the score: p(target) when the rest of the picture is
    randomly masked. It is not centred: a pixel of no effect has the mean score, not 0. The defaults
    are the paper's for VGG16 (8000 masks for ResNet-50).

    Args:
        infill: stands where the mask is 0; sees the rounded mask. Black when None.
        samples: number of masks, each one evaluation of the classifier.
        size: cells of the coarse mask along each side.
        keep: probability in (0, 1] that a cell is kept.
        centred: weigh by m - p and do not divide by p, so that a pixel of no effect has 0.
        tolerance: stop when no pixel's standard error is above it, in units of the map; looked at
            after every chunk. None uses all masks, and then reverse-mode gradients go through.
        score: a name in `fidojax.core.scores.SCORES`.
        chunk: pictures that the classifier sees at once. It bounds the memory, and the masks do not
            depend on it.

    Raises:
        ValueError: an unknown score, a count below 1, or a `size` below 2.

    Example:
        >>> explanation = fidojax.rise(key, classifier, image, target, samples=200, size=4)
        >>> saliency = explanation.saliency  # "h w", mean probability where a pixel is seen
        >>> error = explanation.info.standard_error  # of each pixel

    Reference: Petsiuk et al. 2018, section 3.
    """
    loop, tolerance = rise_loop(**options), options.get("tolerance")
    if tolerance is None:
        return loops.run(loop, key, classifier, image, target)
    state = jax.lax.while_loop(
        lambda state: (state.step < loop.steps) & ~_converged(state, tolerance),
        lambda state: loop.step(classifier, image, target, state)[0],
        loop.init(key, classifier, image, target),
    )
    return loop.readout(classifier, image, target, state, None)


def draw_mask(key: PRNGKey, shape: tuple[int, ...], size: int, keep: Scalar) -> Mask:
    """Draw a random grid of size x size cells, enlarge it bilinearly and crop it at random.

    The grid becomes one cell larger than the picture on each axis, and the cut starts anywhere in
    the first cell, so that every pixel has mean `keep`.
    """
    grid_key, shift_key = jax.random.split(key)
    grid = jax.random.bernoulli(grid_key, keep, (size, size)).astype(keep.dtype)
    cells = [-(-side // size) for side in shape]
    shifts = jax.random.randint(shift_key, (2,), 0, jnp.asarray(cells))
    rows, columns = (
        _enlarge(jnp.arange(side) + shift, cell, size, keep.dtype)
        for side, shift, cell in zip(shape, shifts, cells, strict=True)
    )
    return separable(grid, rows, columns)


def contributions(
    scores: Float[Array, " n"], masks: Float[Array, "n h w"], keep: float | Scalar, centred: bool
) -> Float[Array, "n h w"]:
    """Return the contribution of each mask to the mean that is the map."""
    weight = masks - keep if centred else masks / keep
    return scores[:, None, None] * weight  # Petsiuk et al. 2018: mean over masks


def _enlarge(
    at: Int[Array, " n"], cell: int, size: int, dtype: jnp.dtype
) -> Float[Array, "n size"]:
    """Return the weights of the cells at pixels of the enlarged grid.

    The border is mirrored at the centres of the outer cells, as in the authors' code.
    """
    place = (at.astype(dtype) + 0.5) * (size / ((size + 1) * cell)) - 0.5
    mirrored = (size - 1) - jnp.abs((size - 1) - jnp.abs(place))
    return interpolation(mirrored, size)


def _converged(state: State, tolerance: float | Scalar) -> Bool[Array, ""]:
    return jnp.all(standard_error(state.moments) <= tolerance)
