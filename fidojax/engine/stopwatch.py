"""The wall time of a run, divided among its pictures, with compilation apart."""

import collections
import functools
import time
from collections.abc import Callable, Iterable

import jax

COMPILING = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)
"""The events by which JAX reports how long it traced, lowered and compiled."""


class Stopwatch:
    """Divides wall time equally among the pictures that were under way in it.

    The sum over all pictures and `compiling` is the time from the start to the last lap.

    Attributes:
        compiling: the seconds in which programs were traced and compiled.

    Args:
        now: the clock, in seconds.
        compiled: the seconds of compilation so far, of the whole process.
    """

    def __init__(
        self, now: Callable[[], float] = time.perf_counter, compiled: Callable | None = None
    ) -> None:
        self._now, self._compiled = now, compiled or compile_seconds
        self._last = self._now(), self._compiled()
        self._seconds: dict[int, float] = collections.defaultdict(float)
        self._left = 0.0
        self.compiling = 0.0

    def passed(self) -> float:
        """Return the seconds since the last lap without those of compilation; a lap ends."""
        (now, compiled), (before, known) = (self._now(), self._compiled()), self._last
        compiling = min(compiled - known, now - before)
        self._last, left, self._left = (now, compiled), self._left, 0.0
        self.compiling += compiling
        return left + now - before - compiling

    def lap(self, numbers: Iterable[int]) -> None:
        """Divide the seconds since the last lap among pictures; without any, the next lap does.

        Args:
            numbers: of the pictures that were under way.
        """
        passed, numbers = self.passed(), list(numbers)
        if not numbers:
            self._left = passed
        for number in numbers:
            self._seconds[number] += passed / len(numbers)

    def take(self, number: int) -> float:
        """Return the seconds of a picture that is finished, and forget it."""
        return self._seconds.pop(number, 0.0)


def compile_seconds() -> float:
    """The seconds in which this process has traced and compiled programs, since the first call."""
    return _compilations().total


class _Intervals:
    """The time that is covered by intervals, which may overlap and lie in one another."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now, self._closed = now, 0.0
        self._open: list[tuple[float, float]] = []

    @property
    def total(self) -> float:
        return self._closed + sum(end - start for start, end in self._open)

    def listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        """Add the interval of an event that ends now."""
        if event not in COMPILING:
            return
        end = self._now()
        start = end - duration_secs
        # A function that calls others is reported after them, and its time holds theirs.
        while self._open and self._open[-1][1] >= start:
            start = min(start, self._open.pop()[0])
        self._open.append((start, end))
        if len(self._open) > 1000:  # no event reaches back so far
            start, end = self._open.pop(0)
            self._closed += end - start


@functools.cache
def _compilations() -> _Intervals:
    found = _Intervals()
    jax.monitoring.register_event_duration_secs_listener(found.listen)
    return found
