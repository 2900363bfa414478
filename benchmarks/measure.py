"""Measuring: interleaved times, compile times, peak memory."""

import contextlib
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

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


def compile_seconds(lower: Callable[[], Any]) -> tuple[float, float]:
    """Seconds to trace and compile without a cache, and with JAX's persistent one filled.

    Args:
        lower: returns the lowered program; JAX's caches in memory are emptied before each call.
    """
    taken = []
    with _persistent_cache():
        for _ in range(2):
            jax.clear_caches()
            start = time.perf_counter()
            lower().compile()
            taken.append(time.perf_counter() - start)
    return taken[0], taken[1]


@contextlib.contextmanager
def _persistent_cache() -> Iterator[None]:
    # The thresholds keep small programs out of the cache by default.
    wanted = {
        "jax_compilation_cache_dir": None,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in wanted}
    with tempfile.TemporaryDirectory() as folder:
        for name, value in wanted.items():
            jax.config.update(name, folder if value is None else value)
        compilation_cache.reset_cache()
        try:
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()


class PeakMemory:
    """Peak memory since the object was made: of the first device, else of this process.

    On accelerators it is the peak since the program's start, which cannot be reset.
    """

    def __init__(self) -> None:
        # Linux: 5 sets the process's peak back to its present memory.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> float | None:
        """None where neither the device nor the system tells."""
        stats = jax.local_devices()[0].memory_stats()
        if stats and "peak_bytes_in_use" in stats:
            return stats["peak_bytes_in_use"] / 1e6
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1.024e-3 if found else None
