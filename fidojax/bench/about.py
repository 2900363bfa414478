"""The machine and the versions that numbers were measured with."""

import importlib.util
import platform
import time
from importlib import metadata
from typing import Any

import jax

from fidojax import __version__
from fidojax.lanes import cores

PACKAGES = ("jax", "jaxlib", "flax", "keras", "torch")


def about(config: dict[str, Any]) -> dict[str, Any]:
    """In general words, for JSON.

    Args:
        config: the settings of the benchmark.
    """
    device = jax.local_devices()[0]
    found = {p: metadata.version(p) for p in PACKAGES if importlib.util.find_spec(p)}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": f"{jax.local_device_count()} x {device.device_kind}",
        "cores": cores(),
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "versions": {"fidojax": __version__, **found},
        "config": config,
    }
