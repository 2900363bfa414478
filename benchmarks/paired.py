"""Two programs that do the same, timed in turn: how many times as long does one take?"""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fidojax.bench import CLOCKS

Call = Callable[[], Any]
"""What is timed; it returns when its work is done, not when it is queued."""


class Ratio(NamedTuple):
    """There over here: above 1, here is faster.

    Attributes:
        here, there: seconds, the median over the rounds.
        median, low, high: of the rounds' ratios, each of two times that were taken together.
    """

    here: float
    there: float
    median: float
    low: float
    high: float


def ratio(here: Call, there: Call, rounds: int, clock: str) -> Ratio:
    """Both calls, which ran before, once in each round; every other round begins with the other."""
    times: list[list[float]] = [[], []]
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            times[side].append(seconds((here, there)[side], clock))
    ratios = [theirs / ours for ours, theirs in zip(*times, strict=True)]
    ours, theirs = map(statistics.median, times)
    return Ratio(ours, theirs, statistics.median(ratios), min(ratios), max(ratios))


def fastest(forms: Mapping[str, Call], clock: str) -> str:
    """The name of the form with the lowest time of two trials, all of them having run before."""
    for call in forms.values():
        call()
    if len(forms) == 1:
        return next(iter(forms))
    trials = [[seconds(call, clock) for call in forms.values()] for _ in range(2)]
    lowest = dict(zip(forms, map(min, *trials), strict=True))
    return min(forms, key=lambda name: lowest[name])


def seconds(call: Call, clock: str) -> float:
    """Of one call."""
    now = CLOCKS[clock]
    start = now()
    call()
    return now() - start


def agreement(here: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    """The lowest correlation of a picture's two maps, and their largest difference.

    The difference is relative to the largest value of the picture's map here.
    """
    correlations, differences = [], []
    for ours, theirs in zip(map(np.ravel, here), map(np.ravel, there), strict=True):
        correlations.append(np.corrcoef(ours, theirs)[0, 1])
        differences.append(np.abs(ours - theirs).max() / np.abs(ours).max())
    return float(min(correlations)), float(max(differences))
