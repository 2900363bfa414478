"""How many images fit: read off the compiled program's own memory analysis."""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.stages import Compiled

from fidojax.engine import programs
from fidojax.engine.options import LOOP_OF
from fidojax.engine.programs import Batch, Model, Program
from fidojax.types import Classifier, Device, Method

MARGIN = 1.5
"""Measured peaks exceed the analysis: 580 MB against 419 MB in the worst case seen."""
SHARE = 0.5
"""Of the device's free memory, how much one run may take."""
LARGEST = 64
"""Larger batch sizees bought no speed in benchmarks/RESULTS.md."""
CPU_PIXELS = 16 * 64 * 64
"""Pixels that the classifier looks at in one compiled step on CPUs: enough for all cores, and more
would only make the first result late."""


def find_batch_size(
    method: Method,
    classifier: Classifier,
    shape: tuple[int, int, int],
    most: int,
    *,
    static: tuple[tuple[str, Any], ...] = (),
    options: Mapping[str, Any] | None = None,
    each: Mapping[str, Any] | None = None,
    device: Device | None = None,
) -> int:
    """The largest power of two of images per device that fits into its memory.

    Compiles the method's step for one and for two images, without running it, and extends the
    line through their memory needs. On CPUs, whose caches are full long before, it is `on_cpu`
    without compiling anything.

    Args:
        shape: "h w c" of the images.
        most: no more than this (on accelerators rounded up to a power of two).
        static, options: as `fidojax.engine.options.split_options` returns them.
        each: per-image options.
    """
    where: Any = device or jax.local_devices()[0]
    options, each = options or {}, each or {}
    program = Program(method, static)
    if where.platform == "cpu":
        first = jax.tree.map(lambda leaf: leaf[0], dict(each))
        looks = program.loop(dict(options), first).evaluations if method in LOOP_OF else None
        return on_cpu(shape, looks, most)
    ceiling = 1 << (min(most, LARGEST) - 1).bit_length()
    if ceiling == 1:
        return 1
    model = Model(classifier, dict(options))
    needs = [program_bytes(program, model, shape, each, n) for n in (1, 2)]
    slope = max(needs[1] - needs[0], 1)
    room = SHARE * free_bytes(where) / MARGIN
    fitting = max(1, min(int(1 + (room - needs[0]) // slope), ceiling))
    return 1 << (fitting.bit_length() - 1)


def on_cpu(shape: tuple[int, int, int], looks: int | None, most: int) -> int:
    """How many images have `CPU_PIXELS` together, at most so many.

    Args:
        looks: pictures that the classifier is shown of one image at a time; None for methods that
            fill a batch of the classifier by themselves, or where one image is as fast as many.
    """
    return 1 if looks is None else max(1, min(most, CPU_PIXELS // (shape[0] * shape[1] * looks)))


def program_bytes(
    program: Program,
    model: Model,
    shape: tuple[int, int, int],
    each: Mapping[str, Any],
    images: int,
) -> int:
    """Bytes of arguments, results and temporaries of one compiled call on so many images.

    Args:
        shape: "h w c" of the images.
        each: per-image options, of any number of images.
    """
    batch = abstract_batch(shape, each, images)
    needed = needed_bytes(programs.lower(program, model, batch).compile())
    if needed is None:
        raise RuntimeError("this backend has no memory analysis: give batch_size")
    return needed


def needed_bytes(program: Compiled) -> int | None:
    """Arguments, results and temporaries of a call; None where the backend does not tell."""
    analysis: Any = program.memory_analysis()
    if analysis is None:
        return None
    return (
        analysis.temp_size_in_bytes
        + analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
    )


def abstract_batch(shape: tuple[int, int, int], each: Mapping[str, Any], images: int) -> Batch:
    """The shapes of a batch; arguments as those of `program_bytes`."""
    return Batch(
        jax.eval_shape(lambda: jax.random.split(jax.random.key(0), images)),
        jax.ShapeDtypeStruct((images, *shape), jnp.float32),
        jax.ShapeDtypeStruct((images,), jnp.int32),
        jax.tree.map(lambda x: jax.ShapeDtypeStruct((images, *x.shape[1:]), x.dtype), dict(each)),
    )


def calls_that_fit(needed: int | None, device: Device, most: int) -> int:
    """How many calls may be under way together, at least one and at most so many.

    Args:
        needed: bytes of a call, if known.
    """
    if not needed:
        return most
    return max(1, min(most, int(SHARE * free_bytes(device) / (MARGIN * needed))))


def free_bytes(device: Device) -> int:
    """Free memory of the device; for the CPU, the machine's, what can be freed at once included."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    with contextlib.suppress(OSError):
        available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if available:
            return int(available[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
