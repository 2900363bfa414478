"""Several compiled calls under way at the same time on one CPU, a *lane* each.

XLA divides few of a network's operations among threads: one call keeps two of four cores busy at
best. Calls that different threads start run side by side, and share one compiled program and one
copy of the weights.
"""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax

T = TypeVar("T")


class CallThreads:
    """A thread for each of some calls that are made again and again; a context manager.

    What has been set for the thread that makes the object, say by `jax.default_matmul_precision`,
    holds for its threads, too.
    """

    def __init__(self, count: int) -> None:
        """So many threads; none, and calls on the spot, for one."""
        settings = {name: getattr(jax.config, f"jax_{name}") for name in _INHERITED}
        self._threads = [
            ThreadPoolExecutor(1, "fidojax lane", _inherit, (settings,))
            for _ in range(count if count > 1 else 0)
        ]
        self._compiled = False

    def __call__(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """What the calls return, at most as many as there are lanes, each started by its thread."""
        if not self._threads:
            return [call() for call in calls]
        threads = zip(self._threads, calls, strict=False)
        started = []
        for thread, call in threads:
            started.append(thread.submit(call))
            if not self._compiled:  # by the first, for all
                started[0].result()
                self._compiled = True
        return [each.result() for each in started]

    def __enter__(self) -> "CallThreads":
        """The threads."""
        return self

    def __exit__(self, *problem: Any) -> None:
        """They end when what they have started is queued."""
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
"""What JAX sets for a thread: the option's name -> its context manager."""


def _inherit(settings: dict[str, Any]) -> None:
    """Take the settings over, for as long as the thread lives."""
    stack = contextlib.ExitStack()
    for name, value in settings.items():
        stack.enter_context(_INHERITED[name](value))
