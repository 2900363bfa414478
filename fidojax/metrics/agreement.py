"""Agreement: how alike two maps are, and how steady the maps of several seeds.

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, "Sanity Checks for Saliency Maps", NeurIPS 2018
(arXiv 1810.03292), compare maps by Spearman's correlation and structural similarity, with their
signs and without. Of distances `scipy.spatial.distance` has all.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import rankdata
from jaxtyping import Array, Float

from fidojax.core import check_name
from fidojax.metrics.faithfulness import Numbers, pearson, spearman
from fidojax.metrics.localisation import SIGNS
from fidojax.types import Saliency, Scalar

Maps = Float[Array, "k h w"]
Values = Float[Array, "..."]


def _to_unit(values: Values) -> Values:
    return (values - values.min()) / jnp.ptp(values)


SCALES: dict[str, Callable[[Values], Values]] = {
    "none": lambda values: values,
    "range": _to_unit,
    "rank": lambda values: _to_unit(rankdata(values).reshape(values.shape)),
}
"""What structural similarity sees of a map: its values, those brought to [0, 1], or their places in
order, brought to [0, 1]. The others are the same by all three."""


class Agreement(NamedTuple):
    """What `agreement` returns for two maps; NaN where one of them is constant or not finite.

    Attributes:
        pearson: correlation of the values, in [-1, 1].
        spearman: of their places in order, which ties share.
        kendall: tau-b: of all pairs of pixels, those in the same order minus those in opposite
            order, by the geometric mean of the pairs that each map tells apart.
        ssim: mean structural similarity, in [-1, 1]; a number for constant maps, too.
        overlap: of the highest pixels of one, the share that are the highest of the other.
    """

    pearson: Scalar
    spearman: Scalar
    kendall: Scalar
    ssim: Scalar
    overlap: Scalar


class Stability(NamedTuple):
    """What `stability` returns for the maps of several seeds.

    Attributes:
        pearson, spearman, ssim, overlap: mean over all pairs, NaN where one of `Agreement` is.
        lowest: Spearman's correlation of the two maps that agree least.
        deviation: over seeds (n - 1), mean over pixels, in units of the map.
        relative: the same by the standard deviation of the mean map over its pixels: above 1 a
            pixel moves more from seed to seed than pixels differ.
    """

    pearson: Scalar
    spearman: Scalar
    ssim: Scalar
    overlap: Scalar
    lowest: Scalar
    deviation: Scalar
    relative: Scalar


def agreement(
    one: Saliency,
    other: Saliency,
    *,
    sign: str = "signed",
    top: float | Scalar = 0.1,
    scale: str = "none",
    data_range: float | Scalar | None = None,
    window: int = 7,
) -> Agreement:
    """Correlations, structural similarity and common highest pixels of two maps of one picture.

    Args:
        sign: "signed" compares the values as they are, "absolute" their sizes, "positive" without
            what speaks against the class.
        top: share of the pixels, in (0, 1], that counts as the highest. Of pixels that tie for the
            last places each counts with its chance to have one.
        scale: of what structural similarity sees, a name in `SCALES`. It depends on the unit of the
            maps; those of different networks or methods want "range" or "rank".
        data_range: of structural similarity, in what it sees; the two maps' own when None.
        window: side of the squares that structural similarity is the mean over.

    Raises:
        ValueError: the maps differ in shape or are smaller than the window, an unknown name, or a
            share beyond (0, 1].

    Reference: Adebayo et al. 2018; Kendall 1945 (tau-b); Wang et al. 2004 (structural similarity,
    with scikit-image's defaults: uniform window, sample covariance, no border).
    """
    if one.shape != other.shape:
        raise ValueError(f"other has shape {other.shape}, expected that of one, {one.shape}")
    one, other = _prepared(jnp.stack([one, other]), sign=sign, top=top, scale=scale, window=window)
    shared = _shared(one, other, top=top, scale=scale, data_range=data_range, window=window)
    return Agreement(*shared[:2], kendall(one.ravel(), other.ravel()), *shared[2:])


def stability(
    maps: Maps,
    *,
    sign: str = "signed",
    top: float | Scalar = 0.1,
    scale: str = "none",
    data_range: float | Scalar | None = None,
    window: int = 7,
) -> Stability:
    """How much the maps of one picture by one method differ where only the seed does.

    Args:
        maps: at least two, of different seeds.
        sign, top, scale, data_range, window: see `agreement`.

    Raises:
        ValueError: fewer than two maps; and as `agreement`.
    """
    if len(maps) < 2:
        raise ValueError(f"maps has {len(maps)} of them, expected at least 2")
    maps = _prepared(maps, sign=sign, top=top, scale=scale, window=window)
    pairs = np.stack(np.triu_indices(len(maps), 1), axis=1)
    compare = partial(_shared, top=top, scale=scale, data_range=data_range, window=window)
    shared = jax.lax.map(lambda pair: compare(*maps[pair]), jnp.asarray(pairs))
    deviation = maps.std(axis=0, ddof=1).mean()
    relative = deviation / maps.mean(axis=0).std()
    return Stability(*map(jnp.mean, shared), shared[1].min(), deviation, relative)  # type: ignore


def _prepared(maps: Maps, *, sign: str, top: float | Scalar, scale: str, window: int) -> Maps:
    check_name("sign", sign, SIGNS)
    check_name("scale", scale, SCALES)
    if isinstance(top, float | int) and not 0 < top <= 1:
        raise ValueError(f"top is {top}, expected above 0 and at most 1")
    if not 1 < window <= min(maps.shape[1:]):
        raise ValueError(f"window is {window}, expected 2 to {min(maps.shape[1:])}, the maps' side")
    return SIGNS[sign](maps.astype(jnp.float32))


def _shared(
    one: Saliency, other: Saliency, *, top, scale: str, data_range, window: int
) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """What both functions have: Pearson's, Spearman's, structural similarity, overlap."""
    x, y = one.ravel(), other.ravel()
    count = jnp.maximum(jnp.round(jnp.asarray(top) * x.size), 1)
    common = jnp.minimum(_highest(x, count), _highest(y, count)).sum() / count
    telling = jnp.all(jnp.isfinite(x + y)) & (jnp.ptp(x) > 0) & (jnp.ptp(y) > 0)
    return (
        pearson(_to_unit(x), _to_unit(y)),  # else products of small numbers underflow
        spearman(x, y),
        ssim(*map(SCALES[scale], (one, other)), data_range=data_range, window=window),
        jnp.where(telling, common, jnp.nan),
    )


def _highest(values: Numbers, count: Scalar) -> Numbers:
    """1 for the highest values, 0 for the others, and their chance for those that tie between."""
    last = jnp.sort(values, descending=True)[count.astype(int) - 1]
    above, tied = values > last, values == last
    return above + tied * (count - above.sum()) / tied.sum()


def kendall(one: Numbers, other: Numbers) -> Scalar:
    """Kendall's tau-b, in [-1, 1]; NaN where one of them is constant or not finite."""
    # All four are counts without ties, so that nothing cancels where nearly all pairs are tied.
    same, opposite, of_one, of_other = jax.vmap(_opposed)(
        jnp.stack([one, one, one, other]), jnp.stack([-other, other, -one, -other])
    )
    tau = jnp.clip((same - opposite) / jnp.sqrt(of_one) / jnp.sqrt(of_other), -1, 1)
    return jnp.where(jnp.all(jnp.isfinite(one + other)), tau, jnp.nan)


def _opposed(one: Numbers, other: Numbers) -> Scalar:
    """Pairs in opposite order, by the number of values: what a merge sort has to swap."""
    place = jnp.arange(one.size)

    def merge(level, state):
        values, swapped = state
        order = jnp.lexsort((values, place >> (level + 1)))  # a stable sort
        moved = jnp.maximum(order - place, 0).astype(jnp.float32)
        return values[order], swapped + moved.mean()

    start = other[jnp.lexsort((other, one))], jnp.zeros(())
    return jax.lax.fori_loop(0, (one.size - 1).bit_length(), merge, start)[1]


def ssim(
    one: Saliency, other: Saliency, *, data_range: float | Scalar | None = None, window: int = 7
) -> Scalar:
    """Mean structural similarity over all squares that lie within the maps."""
    if data_range is None:
        data_range = jnp.maximum(one.max(), other.max()) - jnp.minimum(one.min(), other.min())
    middle = (one.mean() + other.mean()) / 2  # less of float32 cancels in the variances

    def local(values: Saliency) -> Float[Array, "rows columns"]:
        total = jax.lax.reduce_window(values, 0.0, jax.lax.add, (window,) * 2, (1, 1), "VALID")
        return total / window**2

    x, y = one - middle, other - middle
    mean_x, mean_y = local(x), local(y)
    sample = window**2 / (window**2 - 1)
    var_x, var_y, both = (
        sample * (local(a * b) - local(a) * local(b)) for a, b in ((x, x), (y, y), (x, y))
    )
    c1, c2 = ((k * data_range) ** 2 for k in (0.01, 0.03))
    mean_x, mean_y = mean_x + middle, mean_y + middle
    value = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return (value / (mean_x**2 + mean_y**2 + c1) / (var_x + var_y + c2)).mean()
