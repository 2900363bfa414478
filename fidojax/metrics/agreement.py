"""Agreement: how similar two maps are, and how steady the maps of several seeds are.

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, "Sanity Checks for Saliency Maps", NeurIPS 2018
(arXiv 1810.03292), compare maps by Spearman's correlation and structural similarity, with and
without their signs. For distances, see `scipy.spatial.distance`.
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
"""The values that structural similarity compares: those of the map, those rescaled to [0, 1], or
their ranks, rescaled to [0, 1]. The other numbers are the same with all three."""


class Agreement(NamedTuple):
    """The agreement of two maps; NaN where one of them is constant or not finite.

    Attributes:
        pearson: Pearson's correlation of the values, in [-1, 1].
        spearman: Spearman's correlation, that of the ranks, in [-1, 1]; ties share a rank.
        kendall: Kendall's tau-b, in [-1, 1]: pairs of pixels in the same order minus pairs in
            opposite order, divided by the geometric mean of the pairs that each map tells apart.
        ssim: mean structural similarity, in [-1, 1]; also a number for constant maps.
        overlap: share of the highest pixels of one map that are among the highest of the other, in
            [0, 1].
    """

    pearson: Scalar
    spearman: Scalar
    kendall: Scalar
    ssim: Scalar
    overlap: Scalar


class Stability(NamedTuple):
    """The stability of the maps of several seeds.

    Attributes:
        pearson, spearman, ssim, overlap: the mean of `Agreement` over all pairs, NaN where that of
            one pair is; higher is steadier.
        lowest: the lowest Spearman's correlation of two maps.
        deviation: standard deviation over seeds (n - 1), mean over pixels, in units of the map;
            lower is steadier.
        relative: the deviation divided by the standard deviation of the mean map over its pixels:
            above 1, a pixel varies more over seeds than the mean map does over pixels.
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
        sign: "signed" compares the values as they are, "absolute" their absolute values, "positive"
            their positive parts.
        top: share of the pixels, in (0, 1], that counts as the highest. Where pixels tie for the
            last places, each counts with its chance of having one.
        scale: the values that structural similarity compares, a name in `SCALES`. It depends on the
            unit of the maps, so use "range" or "rank" for maps of different networks or methods.
        data_range: range of the values that structural similarity compares; that of the two maps
            when None.
        window: side in pixels of the windows of structural similarity.

    Raises:
        ValueError: the maps differ in shape or are smaller than the window, a name is unknown, or
            the share is outside (0, 1].

    Example:
        from fidojax.metrics import agreement

        found = agreement(saliency, saliency**2, scale="range")
        rank_correlation = found.spearman

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
    """How much the maps of one picture by one method differ from seed to seed.

    Args:
        maps: at least two maps, of different seeds.
        sign, top, scale, data_range, window: see `agreement`.

    Raises:
        ValueError: there are fewer than two maps; and as `agreement`.

    Example:
        import jax
        from fidojax.metrics import stability

        found = stability(jax.numpy.stack([saliency, saliency**2, 1 - saliency]))
        mean_rank_correlation = found.spearman
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
    """Pearson's and Spearman's correlation, structural similarity and overlap of two maps."""
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
    """1 for the highest values, their chance for those that tie for the last places, else 0."""
    last = jnp.sort(values, descending=True)[count.astype(int) - 1]
    above, tied = values > last, values == last
    return above + tied * (count - above.sum()) / tied.sum()


def kendall(one: Numbers, other: Numbers) -> Scalar:
    """Kendall's tau-b, in [-1, 1]; NaN where one of them is constant or not finite."""
    # All four numbers count untied pairs, so nothing cancels where nearly all pairs are tied.
    same, opposite, of_one, of_other = jax.vmap(_opposed)(
        jnp.stack([one, one, one, other]), jnp.stack([-other, other, -one, -other])
    )
    tau = jnp.clip((same - opposite) / jnp.sqrt(of_one) / jnp.sqrt(of_other), -1, 1)
    return jnp.where(jnp.all(jnp.isfinite(one + other)), tau, jnp.nan)


def _opposed(one: Numbers, other: Numbers) -> Scalar:
    """The swaps of a merge sort, divided by the number of values: the pairs in opposite order."""
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
    """The mean structural similarity over all windows that lie within the maps, in [-1, 1]."""
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
