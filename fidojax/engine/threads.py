"""Concurrent compiled calls on one CPU, each started by a thread of its own.

XLA parallelises few of a network's operations: one call keeps at most two of four cores busy.
Calls that different threads start run side by side and share one compiled program and one copy of
the weights.
"""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax

T = TypeVar("T")


class CallThreads:
    """Threads that make several calls at the same time, round after round; a context manager.

    The threads inherit JAX's settings of the thread that makes the object, such as
    `jax.default_matmul_precision`.

    Args:
        count: the number of threads; with 1 the calls run in the caller's thread.
    """

    def __init__(self, count: int) -> None:
        settings = {name: getattr(jax.config, f"jax_{name}") for name in _INHERITED}
        self._threads = [
            ThreadPoolExecutor(1, "fidojax call", _inherit, (settings,))
            for _ in range(count if count > 1 else 0)
        ]
        self._compiled = False

    def __call__(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Make the calls, one per thread, at most as many as threads; return their results."""
        if not self._threads:
            return [call() for call in calls]
        threads = zip(self._threads, calls, strict=False)
        started = []
        for thread, call in threads:
            started.append(thread.submit(call))
            if not self._compiled:  # the first call compiles for all
                started[0].result()
                self._compiled = True
        return [each.result() for each in started]

    def __enter__(self) -> "CallThreads":
        """Return the object itself."""
        return self

    def __exit__(self, *problem: Any) -> None:
        """End the threads after their last calls."""
        for thread in self._threads:
            thread.shutdown()


_INHERITED: dict[str, Callable[[Any], Any]] = {
    "debug_nans": jax.debug_nans,
    "default_device": jax.default_device,
    "default_matmul_precision": jax.default_matmul_precision,
    "default_prng_impl": jax.default_prng_impl,
    "disable_jit": jax.disable_jit,
    "enable_x64": jax.enable_x64,
    "numpy_dtype_promotion": jax.numpy_dtype_promotion,
}
"""JAX's settings per thread, by name, with their context managers."""


def _inherit(settings: dict[str, Any]) -> None:
    """Enter the settings for the lifetime of the thread."""
    stack = contextlib.ExitStack()
    for name, value in settings.items():
        stack.enter_context(_INHERITED[name](value))
