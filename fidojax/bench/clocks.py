"""The seconds of calls in turn, the seconds of compiling, and the peak memory."""

import contextlib
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

from fidojax.runs import SETTINGS

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""The process's own CPU time, summed over threads, is what to compare on a busy machine."""


def interleaved(
    calls: Sequence[Callable[[], Any]], repeats: int, rounds: int, clock: str = "wall"
) -> list[float]:
    """Return the seconds of each call: the lowest of the rounds' medians.

    Every repeat makes all calls in turn, so that other work on the machine disturbs all of them.
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


class Compiled(NamedTuple):
    """A program, and the seconds to trace and compile it.

    Attributes:
        lowered: a `jax.stages.Lowered`.
        program: a `jax.stages.Compiled`.
        cold: seconds without a cache.
        cached: seconds with the program in the persistent cache.
    """

    lowered: Any
    program: Any
    cold: float
    cached: float


def compile_timed(lower: Callable[[], Any], clock: str = "wall") -> Compiled:
    """Compile what `lower` returns, twice; to be called within `fresh_cache`.

    Args:
        lower: traces and lowers; JAX's caches in memory are emptied before each call.
        clock: a key of `fidojax.bench.clocks.CLOCKS`.
    """
    now = CLOCKS[clock]
    found, taken = [], []
    for _ in range(2):
        jax.clear_caches()
        start = now()
        lowered = lower()
        found.append((lowered, lowered.compile()))
        taken.append(now() - start)
    return Compiled(*found[0], *taken)


@contextlib.contextmanager
def fresh_cache() -> Iterator[None]:
    """Use an empty persistent cache inside the context, and restore the settings afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = {"jax_compilation_cache_dir": folder, **SETTINGS}
        before = {name: getattr(jax.config, name) for name in wanted}
        _configure(wanted)
        try:
            yield
        finally:
            _configure(before)


def _configure(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


class PeakMemory:
    """The peak memory since the object was made, of the first device or else of this process.

    On accelerators it is the peak since the start of the program, since it cannot be reset.
    """

    def __init__(self) -> None:
        # Linux: 5 sets the process's peak back to its present memory.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> float | None:
        """Return the peak in MB; None where neither the device nor the system reports it."""
        stats = jax.local_devices()[0].memory_stats()
        if stats and "peak_bytes_in_use" in stats:
            return stats["peak_bytes_in_use"] / 1e6
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1.024e-3 if found else None
