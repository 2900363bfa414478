"""How many images fit into memory, by the compiled program's own memory analysis."""

import collections
import contextlib
import os
import re
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.stages import Compiled, Lowered

from fidojax.core import row_of
from fidojax.engine import programs
from fidojax.engine.programs import Batch, Model, Program, program_and_model
from fidojax.engine.request import ExplainRequest
from fidojax.methods import METHOD_ROWS
from fidojax.types import Device

MARGIN = 1.5
"""Safety factor: measured peaks exceed the analysis (580 MB against 419 MB in the worst case)."""
SHARE = 0.5
"""The share of the device's free memory that one run may take."""
LARGEST = 64
"""The largest batch size; larger ones were no faster in benchmarks/RESULTS.md."""
CPU_PIXELS = 16 * 64 * 64
"""Pixels that the classifier evaluates in one compiled step on CPUs: enough for all cores; more
would only delay the first result."""


def find_batch_size(
    request: ExplainRequest,
    shape: tuple[int, int, int],
    most: int,
    *,
    each: Mapping[str, Any] | None = None,
) -> int:
    """Return the largest power of two of images per call that fits into the device's memory.

    It compiles the method's step for one and for two images, without running it, and extrapolates
    their memory linearly. On CPUs, where the caches are the tighter limit, it returns `on_cpu`
    and compiles nothing.

    Args:
        request: as `ExplainRequest.ready` returns it.
        shape: "h w c" of the images.
        most: an upper limit (on accelerators rounded up to a power of two).
        each: one image's own options.
    """
    device, each = request.chosen_devices[0], each or {}
    if device.platform == "cpu":
        return on_cpu(shape, _evaluations(request, each), most)
    ceiling = 1 << (min(most, LARGEST) - 1).bit_length()
    if ceiling == 1:
        return 1
    program, model = program_and_model(request)
    needs = [program_bytes(program, model, shape, each, n) for n in (1, 2)]
    slope = max(needs[1] - needs[0], 1)
    room = SHARE * free_bytes(device) / MARGIN
    fitting = max(1, min(int(1 + (room - needs[0]) // slope), ceiling))
    return 1 << (fitting.bit_length() - 1)


def _evaluations(request: ExplainRequest, each: Mapping[str, Any]) -> int | None:
    """The classifier's evaluations per image and step; None for a method that fills a batch."""
    loop = request.loop(each)
    if loop is not None:
        return loop.evaluations
    row = row_of(METHOD_ROWS, request.function)
    passes = None if row is None else row.known_passes({**request.options, **each})
    return passes and max(passes[0], 1)


def on_cpu(shape: tuple[int, int, int], evaluations: int | None, most: int) -> int:
    """Return the number of images whose evaluations have `CPU_PIXELS` together, at most `most`.

    Args:
        shape: "h w c" of the images.
        evaluations: the classifier's evaluations per image and step; None for methods that fill a
            batch of the classifier with one image, where one image per call is as fast as many.
    """
    if evaluations is None:
        return 1
    return max(1, min(most, CPU_PIXELS // (shape[0] * shape[1] * evaluations)))


def program_bytes(
    program: Program,
    model: Model,
    shape: tuple[int, int, int],
    each: Mapping[str, Any],
    images: int,
) -> int:
    """The bytes of arguments, results and temporaries of one compiled call on `images` images.

    Args:
        shape: "h w c" of the images.
        each: one image's own options.

    Raises:
        RuntimeError: the backend has no memory analysis.
    """
    batch = abstract_batch(shape, each, images)
    needed = needed_bytes(programs.lower(program, model, batch).compile())
    if needed is None:
        raise RuntimeError(
            "batch_size is None and this backend has no memory analysis; give a number"
        )
    return needed


def needed_bytes(program: Compiled) -> int | None:
    """The bytes of arguments, results and temporaries; None if the backend has no analysis."""
    analysis: Any = program.memory_analysis()
    if analysis is None:
        return None
    return (
        analysis.temp_size_in_bytes
        + analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
    )


_known: collections.OrderedDict[Hashable, int | None] = collections.OrderedDict()
"""The bytes of the programs of earlier runs, the latest `REMEMBERED`."""
REMEMBERED = 64


def known_bytes(program: Hashable, arguments: Any, lower: Callable[[], Lowered]) -> int | None:
    """`needed_bytes` of a program, analysed only the first time for these shapes.

    Args:
        program: the static arguments, and a word for the function that takes them.
        arguments: the traced arguments.
        lower: lowers the program for them.
    """
    leaves, structure = jax.tree.flatten(arguments)
    key = program, structure, *((leaf.shape, leaf.dtype) for leaf in leaves)
    if key not in _known:
        _known[key] = needed_bytes(lower().compile())
        if len(_known) > REMEMBERED:
            _known.popitem(last=False)
    return _known[key]


def abstract_batch(shape: tuple[int, int, int], each: Mapping[str, Any], images: int) -> Batch:
    """The shapes and dtypes of a batch; arguments as in `program_bytes`."""
    return Batch(
        jax.eval_shape(lambda: jax.random.split(jax.random.key(0), images)),
        jax.ShapeDtypeStruct((images, *shape), jnp.float32),
        jax.ShapeDtypeStruct((images,), jnp.int32),
        jax.tree.map(lambda x: jax.ShapeDtypeStruct((images, *x.shape), x.dtype), dict(each)),
    )


def calls_that_fit(needed: int | None, device: Device, most: int) -> int:
    """The number of concurrent calls that fit into the device's memory, from 1 to `most`.

    Args:
        needed: bytes of one call; None where unknown.
    """
    if not needed:
        return most
    return max(1, min(most, int(SHARE * free_bytes(device) / (MARGIN * needed))))


def free_bytes(device: Device) -> int:
    """The free bytes of a device; for the CPU those of the machine, reclaimable caches included."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    with contextlib.suppress(OSError):
        available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if available:
            return int(available[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
