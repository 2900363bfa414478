"""Several infillers at once: which mask is filled by which."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from fidojax.types import Image, Images, Infiller


def as_fills(infill: Infiller | Sequence[Infiller]) -> tuple[Infiller, ...]:
    """Return the option `infill`, an infiller or several, as a tuple.

    Raises:
        ValueError: there is no infiller.
    """
    fills = (infill,) if callable(infill) else tuple(infill)
    if not fills:
        raise ValueError("infill is empty, expected an infiller or several")
    return fills


def references(
    fills: Sequence[Infiller],
    which: Sequence[int],
    keys: Key[Array, " n"],
    image: Image,
    masks: Float[Array, "n h w"],
) -> Images:
    """Return the reference picture of every mask, "n h w c"; no gradient passes through it.

    Args:
        fills: the infillers.
        which: the index of the infiller of every mask; an infiller sees its masks in one batch.
        keys: one for every mask.
        image: the picture.
        masks: values in [0, 1]; the infillers see them rounded.
    """
    hard = jax.lax.stop_gradient(jnp.round(masks))
    own = [np.flatnonzero(np.asarray(which) == number) for number in range(len(fills))]
    filled = [
        jax.vmap(fill, in_axes=(0, None, 0))(
            *((keys, image, hard) if len(rows) == len(which) else (keys[rows], image, hard[rows]))
        )
        for fill, rows in zip(fills, own, strict=True)
        if len(rows)
    ]
    if len(filled) == 1:
        return jax.lax.stop_gradient(filled[0])
    order = np.argsort(np.concatenate(own))
    return jax.lax.stop_gradient(jnp.concatenate(filled)[order])
