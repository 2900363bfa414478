"""Run one compiled program over any number of rows."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Int


def in_batches(compute: Callable[[Int[np.ndarray, " batch"]], Any], count: int, batch: int) -> Any:
    """Compute the rows 0 ... count - 1 in batches and join the results.

    The last batch is filled up with its last row, so that all batches have one shape. All batches
    are dispatched before the first result is fetched.

    Args:
        compute: takes row numbers, returns a pytree of arrays with a leading axis of rows.
        count: the number of rows.
        batch: rows per call.

    Returns:
        The same pytree of NumPy arrays "count ...".
    """
    parts = [
        compute(np.minimum(np.arange(first, first + batch), count - 1))
        for first in range(0, count, batch)
    ]
    return jax.tree.map(lambda *columns: np.concatenate(columns)[:count], *parts)
