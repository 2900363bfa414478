"""How long a program takes to compile, without and with JAX's persistent cache."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

from fidojax.bench.timing import CLOCKS
from fidojax.compile_cache import SETTINGS


class Compiled(NamedTuple):
    """A program, and the seconds to trace and compile it.

    Attributes:
        lowered: a `jax.stages.Lowered`.
        program: a `jax.stages.Compiled`.
        cold: without a cache.
        cached: with the persistent one filled.
    """

    lowered: Any
    program: Any
    cold: float
    cached: float


def compile_timed(lower: Callable[[], Any], clock: str = "wall") -> Compiled:
    """Compile what `lower` returns, twice; to be called within `fresh_cache`.

    Args:
        lower: traces and lowers; JAX's caches in memory are emptied before each call.
        clock: a key of `fidojax.bench.timing.CLOCKS`.
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
    """An empty persistent cache while it lasts, whatever was set up before."""
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
