"""The rows of `benchmarks.throughput`, and how they are told."""

import dataclasses
import importlib.util
import os
import platform
import time
from importlib import metadata
from typing import Any

import jax
from rich.table import Table


@dataclasses.dataclass(frozen=True)
class Row:
    """One network at one batch size.

    Attributes:
        network, images: which, and images per compiled call.
        masks: mask evaluations per step, of all images.
        images_per_second: at the preset's steps, through `explain_batch`.
        evaluations_per_second: masked images, forward and backward, through `explain_batch`.
        step: seconds of one step.
        gradient: seconds of the bare gradient on as many images.
        ratio: step / gradient.
        compile_cold, compile_cached: seconds to trace and compile a step, without and with JAX's
            persistent cache; None but for the network's first row.
        peak_mb: peak memory, see `benchmarks.measure.PeakMemory`.
        torch_layout: the faster of NCHW and channels_last; None without PyTorch.
        torch_step, torch_gradient: seconds there.
    """

    network: str
    images: int
    masks: int
    images_per_second: float
    evaluations_per_second: float
    step: float
    gradient: float
    ratio: float
    compile_cold: float | None
    compile_cached: float | None
    peak_mb: float | None
    torch_layout: str | None = None
    torch_step: float | None = None
    torch_gradient: float | None = None


def reason(row: Row) -> str:
    """One sentence on what the difference to PyTorch is made of; empty without PyTorch."""
    if not (row.torch_step and row.torch_gradient):
        return ""
    speed = row.torch_step / row.step
    rest, torch_rest = row.step - row.gradient, row.torch_step - row.torch_gradient
    return (
        f"{row.network}, {row.images} images: {speed:.2f} times PyTorch's speed"
        f" ({row.torch_layout}); per masked image the network's own gradient takes"
        f" {1e3 * row.gradient / row.masks:.3g} ms against"
        f" {1e3 * row.torch_gradient / row.masks:.3g} ms, and all the rest of a step"
        f" {1e3 * rest / row.masks:.2g} ms against {1e3 * torch_rest / row.masks:.2g} ms."
    )


def about(config: dict[str, Any]) -> dict[str, Any]:
    """The machine and the versions, in general words."""
    device = jax.local_devices()[0]
    packages = ("jax", "jaxlib", "flax", "keras", "torch")
    # Those that this process may use; not every system tells.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {p: metadata.version(p) for p in packages if importlib.util.find_spec(p)}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": f"{jax.local_device_count()} x {device.device_kind}",
        "cores": cores,
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "versions": versions,
        "config": config,
    }


def table(rows: list[Row]) -> Table:
    """The rows for the terminal."""
    titles = (
        "network", "batch", "images/s", "masks/s", "ms/mask", "ratio", "compile s", "cached",
        "MB", "x torch",
    )  # fmt: skip
    result = Table(
        *titles, title="FIDO throughput; batch = images x masks, ratio = step / gradient"
    )
    for row in rows:
        result.add_row(
            row.network,
            f"{row.images}x{row.masks // row.images}",
            f"{row.images_per_second:.3g}",
            f"{row.evaluations_per_second:.0f}",
            f"{1e3 * row.step / row.masks:.3g}",
            f"{row.ratio:.3f}",
            "" if row.compile_cold is None else f"{row.compile_cold:.1f}",
            "" if row.compile_cached is None else f"{row.compile_cached:.1f}",
            "" if row.peak_mb is None else f"{row.peak_mb:.0f}",
            "" if row.torch_step is None else f"{row.torch_step / row.step:.2f}",
        )
    return result
