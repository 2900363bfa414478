"""How alike two maps are, and how two numbers go together: one value per row of two stacks."""

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata
from skimage.metrics import structural_similarity

Rows = Float[np.ndarray, "*rows values"]


def ranks(values: Rows) -> Rows:
    """Each value's place in its row, 0 for the lowest and 1 for the highest; ties share a place."""
    return (rankdata(values, axis=-1) - 1) / (values.shape[-1] - 1)


def correlation(one: Rows, other: Rows, *given: Rows) -> Float[np.ndarray, "*rows"]:
    """Pearson's correlation within each row; NaN where a row is constant.

    With `given`, the partial correlation: of what is left of both when each of those has explained
    what it can, linearly. Of `ranks` it is Spearman's.
    """
    one, other, *rest = (
        values - values.mean(axis=-1, keepdims=True) for values in (one, other, *given)
    )
    while rest:
        known = rest.pop()
        one, other, *rest = (_without(values, known) for values in (one, other, *rest))
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
        return np.asarray((one * other).sum(axis=-1) / scale)


def _without(values: Rows, known: Rows) -> Rows:
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (values * known).sum(axis=-1, keepdims=True) / (known**2).sum(-1, keepdims=True)
    return values - np.nan_to_num(slope) * known


def flat(maps: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n pixels"]:
    """Each map as a row."""
    return maps.reshape(len(maps), -1).astype(np.float64)


def spearman(
    one: Float[np.ndarray, "n h w"], other: Float[np.ndarray, "n h w"]
) -> Float[np.ndarray, " n"]:
    """Rank correlation of each map with its partner."""
    return correlation(ranks(flat(one)), ranks(flat(other)))


def ssim(
    one: Float[np.ndarray, "n h w"], other: Float[np.ndarray, "n h w"]
) -> Float[np.ndarray, " n"]:
    """Structural similarity of each map with its partner, both by rank: only the order counts."""
    ranked = (ranks(flat(maps)).reshape(maps.shape) for maps in (one, other))
    return np.array(
        [structural_similarity(*pair, data_range=1.0) for pair in zip(*ranked, strict=True)]
    )
