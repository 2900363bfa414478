"""The ratio of two programs' times, measured alternately."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fidojax.bench import CLOCKS

Call = Callable[[], Any]
"""A timed call, which returns when its work is done, not when it is queued."""


class Ratio(NamedTuple):
    """The time of the peer over that of fidojax: above 1, fidojax is faster.

    Attributes:
        here, there: seconds of fidojax and of the peer, medians over the rounds.
        median, low, high: median, lowest and highest ratio of a round.
    """

    here: float
    there: float
    median: float
    low: float
    high: float


def ratio(here: Call, there: Call, rounds: int, clock: str) -> Ratio:
    """Time both calls once per round, in alternating order; both must have run before."""
    times: list[list[float]] = [[], []]
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            times[side].append(seconds((here, there)[side], clock))
    ratios = [theirs / ours for ours, theirs in zip(*times, strict=True)]
    ours, theirs = map(statistics.median, times)
    return Ratio(ours, theirs, statistics.median(ratios), min(ratios), max(ratios))


def fastest(forms: Mapping[str, Call], clock: str) -> str:
    """Return the form with the lowest time of two trials, which follow a first call of each."""
    for call in forms.values():
        call()
    if len(forms) == 1:
        return next(iter(forms))
    trials = [[seconds(call, clock) for call in forms.values()] for _ in range(2)]
    lowest = dict(zip(forms, map(min, *trials), strict=True))
    return min(forms, key=lambda name: lowest[name])


def seconds(call: Call, clock: str) -> float:
    """Return the seconds of one call."""
    now = CLOCKS[clock]
    start = now()
    call()
    return now() - start


def agreement(here: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    """Return the lowest correlation of a picture's two maps and their largest difference.

    The difference is relative to the largest value of the picture's first map.
    """
    correlations, differences = [], []
    for ours, theirs in zip(map(np.ravel, here), map(np.ravel, there), strict=True):
        correlations.append(np.corrcoef(ours, theirs)[0, 1])
        differences.append(np.abs(ours - theirs).max() / np.abs(ours).max())
    return float(min(correlations)), float(max(differences))
