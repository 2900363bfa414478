"""The machine of a benchmark: the cores it may use, its description, and the file of results."""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fidojax.core import check_count
from fidojax.data import write_text
from fidojax.runs import about


def use_cores(threads: int) -> None:
    """Keep this process to `threads` of its cores; XLA makes a thread for each when it starts.

    Raises:
        SystemExit: the process has fewer cores, or the system does not let it choose.
    """
    check_count(threads=threads)
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("threads: this system does not let a process choose its cores")
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise SystemExit(
            f"threads is {threads}, expected at most {len(cores)}, the cores there are"
        )
    os.sched_setaffinity(0, cores[:threads])


def description(config: Any) -> dict[str, Any]:
    """Return date, machine, versions and settings as `fidojax.runs.about` does.

    Args:
        config: a dataclass of settings; its paths are left out.
    """
    settings = dataclasses.asdict(config)
    return about({name: v for name, v in settings.items() if not isinstance(v, Path)})


def sentence(machine: dict[str, Any], *more: str) -> str:
    """Describe the machine and the versions in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts = (f"{machine['device']}, {machine['cores']} cores", *more, versions)
    return "; ".join((*parts, machine["system"], machine["date"]))


def save(path: Path, machine: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Write the description of the machine and the rows as JSON."""
    write_text(path, json.dumps({"about": machine, "rows": rows}, indent=1) + "\n")
