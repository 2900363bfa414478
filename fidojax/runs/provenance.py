"""Versions, machine and fingerprints: what numbers were made with."""

import functools
import hashlib
import importlib.util
import os
import platform
import time
from importlib import metadata
from typing import Any

import jax
import numpy as np

from fidojax.engine import cores, dividing_threads

PACKAGES = ("fidojax", "jax", "jaxlib", "numpy", "flax", "optax")
"""The packages that decide the numbers."""
OPTIONAL = ("keras", "torch")
"""Packages that a benchmark may compare with."""


@functools.cache
def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide the numbers.

    They are read once, since reading them takes longer than many a map.
    """
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def environment() -> dict[str, Any]:
    """The versions and the kind of machine, as a ledger records them."""
    device = jax.devices()[0]
    return {
        **versions(),
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "cores": os.cpu_count(),
        "threads": dividing_threads(device.platform),
    }


def about(config: dict[str, Any]) -> dict[str, Any]:
    """The date, the machine and the versions of a benchmark, in general words, for JSON.

    Args:
        config: the settings of the benchmark.
    """
    device = jax.local_devices()[0]
    optional = {name: metadata.version(name) for name in OPTIONAL if importlib.util.find_spec(name)}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": f"{jax.local_device_count()} x {device.device_kind}",
        "cores": cores(),
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "versions": versions() | optional,
        "config": config,
    }


def digest(tree: Any) -> str:
    """A fingerprint of a pytree's arrays: 16 hexadecimal digits that change with any value."""
    sha = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(leaf)
        sha.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return sha.hexdigest()[:16]
