"""Confidence intervals by the bootstrap over pictures."""

from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap

RESAMPLES = 5000


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
    """Of the mean or the median of one number per picture."""
    return _interval((values,), statistic)


def difference(ours: np.ndarray, theirs: np.ndarray, statistic: str = "mean") -> Interval:
    """Of ours minus theirs, each the statistic of one number per picture.

    Paired: a resample takes the same pictures from both.
    """
    return _interval((ours, theirs), statistic)


def _interval(samples: tuple[np.ndarray, ...], statistic: str) -> Interval:
    of = {"mean": np.mean, "median": np.median}[statistic]

    def compute(*samples, axis):
        first, *second = (of(sample, axis=axis) for sample in samples)
        return first - second[0] if second else first

    samples = tuple(np.asarray(sample, np.float64) for sample in samples)
    value = float(compute(*samples, axis=-1))
    if len(samples[0]) < 2:
        return Interval(value, float("nan"), float("nan"))
    # A given seed, so that the tables of the same results are the same. In small batches, since
    # each takes so many copies of the sample.
    options = {"batch": 500, "random_state": np.random.default_rng(0)}
    found = bootstrap(
        samples, compute, paired=len(samples) > 1, vectorized=True, n_resamples=RESAMPLES,
        method="percentile", **options,
    )  # fmt: skip
    return Interval(value, *map(float, found.confidence_interval))
