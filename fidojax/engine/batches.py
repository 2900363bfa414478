"""Any number of pictures by one compiled program."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Int


def in_batches(compute: Callable[[Int[np.ndarray, " batch"]], Any], count: int, batch: int) -> Any:
    """What `compute` returns for the rows 0 ... count - 1, `batch` of them at a time.

    The last batch is filled up with its last row, so that all have one shape. No batch waits for
    the one before it to be fetched.

    Args:
        compute: indices of rows -> a pytree of arrays, whose first axis is the rows'.

    Returns:
        The same pytree of NumPy arrays "count ...".
    """
    parts = [
        compute(np.minimum(np.arange(first, first + batch), count - 1))
        for first in range(0, count, batch)
    ]
    return jax.tree.map(lambda *columns: np.concatenate(columns)[:count], *parts)
