"""How long a device waits for the host during a run, from JAX's profiler."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from benchmarks.gpu.parts import Found
from benchmarks.networks import Network
from fidojax import explain_batch

LONG = 100.0
"""A gap of this many microseconds is between two calls, not between two kernels."""

Spans = Float[np.ndarray, "n 2"]
"""Begin and end of pieces of work, in microseconds."""


def of_a_run(network: Network, precision: str, options: Mapping[str, Any], images: int) -> Found:
    """Explain twice as many pictures as fit into a call; return what the device's time went to."""
    pictures = np.random.default_rng(0).random((2 * images, *network.size), np.float32)
    targets = np.zeros(len(pictures), np.int32)

    def run() -> None:
        explain_batch(
            "fido", network.classifier, pictures, targets, options=options, batch_size=images,
            precision=precision,
        )  # fmt: skip

    run()  # compiles
    with tempfile.TemporaryDirectory() as folder:
        # Python's own calls would fill the trace.
        how = jax.profiler.ProfileOptions()
        how.python_tracer_level = 0
        jax.profiler.start_trace(folder, profiler_options=how)
        try:
            run()
        finally:
            jax.profiler.stop_trace()
        (file,) = Path(folder).rglob("*.xplane.pb")
        lines = spans_by_line(jax.profiler.ProfileData.from_file(str(file)))
    return summary(lines)


def spans_by_line(profile: Any) -> dict[str, Spans]:
    """Return the work of each queue of the first device; on a CPU of each of XLA's threads."""
    devices = [plane for plane in profile.planes if plane.name.startswith("/device:")]
    planes = devices[:1] or [plane for plane in profile.planes if plane.name == "/host:CPU"]
    found = {}
    for plane in planes:
        for line in plane.lines:
            if not (line.name.startswith("Stream") if devices else "XLA" in line.name):
                continue
            spans = [(event.start_ns, event.start_ns + event.duration_ns) for event in line.events]
            if spans:
                found[line.name] = np.array(spans) / 1e3
    return found


def summary(lines: Mapping[str, Spans]) -> Found:
    """Return how busy the device was, and its longest gaps.

    Raises:
        ValueError: the profile shows no work of the device.
    """
    if not lines:
        raise ValueError("the profile shows no work of the device")
    busy = union(np.concatenate(list(lines.values())))
    waits = busy[1:, 0] - busy[:-1, 1]
    whole = busy[-1, 1] - busy[0, 0]
    long = waits[waits >= LONG]
    return {
        "queues": sorted(lines),
        "seconds": whole / 1e6,
        "busy_share": float((busy[:, 1] - busy[:, 0]).sum() / whole),
        "share_of_long_gaps": float(long.sum() / whole),
        "long_gaps": len(long),
        "longest_us": sorted(long.tolist(), reverse=True)[:10],
    }


def union(spans: Iterable[Iterable[float]]) -> Spans:
    """Return the union of spans as spans that do not touch, in order."""
    merged: list[list[float]] = []
    for begin, end in sorted(map(tuple, spans)):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    return np.array(merged)
