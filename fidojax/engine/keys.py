"""Random keys of pictures, from the run's seed and each picture's id."""

import hashlib
from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Key


def image_keys(seed: int, ids: Sequence[int | str]) -> Key[Array, " n"]:
    """Return one random key per image, folded from the seed and the image's id.

    Integers are folded in as they are (modulo 2**32), strings by the first four bytes of their
    SHA-256.
    """
    numbers = np.array([_fold_number(i) for i in ids], np.uint32)
    return _folded(jax.random.key(seed), numbers)


@jax.jit
def _folded(key, numbers):
    return jax.vmap(partial(jax.random.fold_in, key))(numbers)


def _fold_number(image_id: int | str) -> int:
    if isinstance(image_id, str):
        return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:4], "big")
    return int(image_id) % 2**32
