"""Peak memory of the device or of the process."""

import contextlib
import re
from pathlib import Path

import jax


class PeakMemory:
    """Peak memory since the object was made: of the first device, else of this process.

    On accelerators it is the peak since the program's start, which cannot be reset.
    """

    def __init__(self) -> None:
        # Linux: 5 sets the process's peak back to its present memory.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def megabytes(self) -> float | None:
        """None where neither the device nor the system tells."""
        stats = jax.local_devices()[0].memory_stats()
        if stats and "peak_bytes_in_use" in stats:
            return stats["peak_bytes_in_use"] / 1e6
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1.024e-3 if found else None
