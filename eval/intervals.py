"""Confidence intervals by the bootstrap over pictures."""

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.stats import DegenerateDataWarning, bootstrap

from eval import agreement

RESAMPLES = 5000
_BATCH = 500
"""Resamples at once, since each takes a copy of the sample."""
_STATISTICS: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "median": np.median}


class Interval(NamedTuple):
    """A statistic of a sample with its 95% percentile interval; NaN bounds below 2 pictures."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 3, *, signed: bool = False) -> str:
        """value [low, high]"""
        value, low, high = (f"{x:{'+' if signed else ''}.{digits}f}" for x in self)
        return f"{value} [{low}, {high}]"


def interval(values: np.ndarray, statistic: str = "mean") -> Interval:
    """The interval of the mean or the median of one number per picture."""
    of = _STATISTICS[statistic]
    return _interval((values,), lambda values, axis: of(values, axis=axis))


def difference(ours: np.ndarray, theirs: np.ndarray, statistic: str = "mean") -> Interval:
    """The interval of ours minus theirs, each the statistic of one number per picture.

    Paired: a resample takes the same pictures from both.
    """
    of = _STATISTICS[statistic]

    def compute(ours, theirs, axis):
        return of(ours, axis=axis) - of(theirs, axis=axis)

    return _interval((ours, theirs), compute)


def ratio(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """The interval of the mean of ours divided by the mean of theirs; paired as `difference`."""

    def compute(ours, theirs, axis):
        return np.mean(ours, axis=axis) / np.mean(theirs, axis=axis)

    return _interval((ours, theirs), compute)


def means(columns: np.ndarray) -> list[Interval]:
    """The intervals of the means of many numbers per picture, over pictures with finite values.

    Each is what `interval` returns; numbers with equally many pictures share their resamples. The
    paired difference of two numbers is the interval of the column ours - theirs.

    Args:
        columns: "pictures numbers".
    """
    columns = np.asarray(columns, np.float64)
    finite = np.isfinite(columns)
    counts = finite.sum(axis=0)
    found = [Interval(float("nan"), float("nan"), float("nan"))] * columns.shape[1]
    for count in filter(None, np.unique(counts).tolist()):
        alike = np.flatnonzero(counts == count)
        samples = np.stack([columns[finite[:, column], column] for column in alike], axis=1)
        values = samples.mean(axis=0)
        bounds = np.full((2, len(alike)), np.nan)
        if count > 1:
            drawn = np.concatenate([times @ samples for times in _resamples(count)]) / count
            bounds = np.percentile(drawn, (2.5, 97.5), axis=0)
        for column, *three in zip(alike, values, *bounds, strict=True):
            found[column] = Interval(*map(float, three))
    return found


def _resamples(count: int) -> Iterator[np.ndarray]:
    """How often each resample takes each picture, in batches; the draws are those of scipy."""
    rng = np.random.default_rng(0)
    rows = count * np.arange(_BATCH)[:, None]
    for _ in range(RESAMPLES // _BATCH):
        chosen = rng.integers(0, count, (_BATCH, count)) + rows
        times = np.bincount(chosen.ravel(), minlength=chosen.size)
        yield times.reshape(chosen.shape).astype(np.float64)


def correlation(
    ours: np.ndarray, theirs: np.ndarray, *given: np.ndarray, ranks: bool = True
) -> Interval:
    """The interval of the correlation of two numbers over pictures.

    A resample takes the same pictures from all samples and is ranked anew. The bounds are NaN where
    a resample of few pictures may be constant.

    Args:
        given: further numbers; with them the correlation is partial.
        ranks: Spearman's correlation; else Pearson's.
    """

    def compute(*samples, axis):
        del axis  # always the last
        rows = [agreement.ranks(sample) for sample in samples] if ranks else samples
        return agreement.correlation(*rows)

    return _interval((ours, theirs, *given), compute)


def _interval(samples: tuple[np.ndarray, ...], compute: Callable[..., np.ndarray]) -> Interval:
    """The interval of `compute(*samples, axis)`; several samples are paired."""
    samples = tuple(np.asarray(sample, np.float64) for sample in samples)
    value = float(compute(*samples, axis=-1))
    if len(samples[0]) < 2:
        return Interval(value, float("nan"), float("nan"))
    # A given seed, so that the tables of the same results are the same.
    options = {"batch": _BATCH, "random_state": np.random.default_rng(0)}
    with warnings.catch_warnings():  # the bounds are NaN then, which says it
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            samples, compute, paired=len(samples) > 1, vectorized=True, n_resamples=RESAMPLES,
            method="percentile", **options,
        )  # fmt: skip
    return Interval(value, *map(float, found.confidence_interval))
