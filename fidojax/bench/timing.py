"""Seconds of several calls, taken in turn."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""The process's own CPU time, summed over threads, is what to compare on a busy machine."""


def interleaved(
    calls: Sequence[Callable[[], Any]], repeats: int, rounds: int, clock: str = "wall"
) -> list[float]:
    """Seconds of each call: the median of a round's repeats, and of all rounds the lowest.

    Every repeat does all calls in turn, so that what disturbs the machine disturbs all of them.
    """
    now = CLOCKS[clock]
    for call in calls:
        jax.block_until_ready(call())
    medians = []
    for _ in range(rounds):
        times: list[list[float]] = [[] for _ in calls]
        for _ in range(repeats):
            for call, taken in zip(calls, times, strict=True):
                start = now()
                jax.block_until_ready(call())
                taken.append(now() - start)
        medians.append([statistics.median(taken) for taken in times])
    return [min(column) for column in zip(*medians, strict=True)]
