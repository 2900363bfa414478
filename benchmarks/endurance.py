"""Measure memory and throughput of `fidojax explain` over thousands of pictures.

    python -m benchmarks.endurance --out runs/endurance -- \
        tfds:tiny_imagenet40/train --data-dir DATA --limit 10000 --no-figures --steps 10

The program runs the command, records its memory and its finished pictures every few seconds, kills
it once with SIGKILL (`--kill-at`) and starts it again. The table has one row per tenth of the
pictures; memory is the process's resident set (Linux).
"""

import argparse
import csv
import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eval.report import markdown_table
from fidojax.runs import DONE, find_ledger

PARTS = 10


class Sample(NamedTuple):
    """Memory and progress at one moment.

    Attributes:
        life: 0 before the kill, 1 after it.
        seconds: time since the process started.
        done: number of finished pictures.
        megabytes: memory of the process.
    """

    life: int
    seconds: float
    done: int
    megabytes: float


def main() -> int:
    """Watch the command, print the table and write samples.csv; return 0."""
    parser = argparse.ArgumentParser(description="Watch `fidojax explain` over many pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two samples")
    parser.add_argument("--kill-at", type=int, help="number of finished pictures at the kill")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- arguments of `explain`")
    asked = parser.parse_args()
    words = [word for word in asked.command if word != "--"]
    asked.out.mkdir(parents=True, exist_ok=True)
    seen = list(_watch(words, asked, 0, asked.kill_at))
    if asked.kill_at is not None:
        seen += _watch(words, asked, 1, None)
    with (asked.out / "samples.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Sample._fields)
        writer.writerows(seen)
    print(table(seen))
    return 0


def _watch(words: Sequence[str], asked, life: int, kill_at: int | None) -> Iterator[Sample]:
    results = asked.out / "explanations"
    command = [sys.executable, "-m", "fidojax.cli", "explain", *words, "--out", str(results)]
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(asked.every)
            memory, done = _megabytes(process.pid), _done(results)
            if memory is not None:
                yield Sample(life, time.monotonic() - start, done, memory)
            if kill_at is not None and done >= kill_at:
                process.send_signal(signal.SIGKILL)
                print(f"killed with {done} pictures done")
                return
    if process.returncode:
        raise SystemExit(f"`fidojax explain` ended with {process.returncode}")


def _megabytes(pid: int) -> float | None:
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:  # it has ended
        return None
    return int(found[1]) * 1.024e-3 if found else None


def _done(results: Path) -> int:
    ledgers = [find_ledger(path) for path in results.glob("results.zarr/*") if path.is_dir()]
    return sum(int((ledger.status == DONE).sum()) for ledger in ledgers if ledger is not None)


def table(seen: Sequence[Sample]) -> str:
    """Return throughput and memory by tenths of the pictures as a Markdown table."""
    edges = np.linspace(0, max(moment.done for moment in seen), PARTS + 1)
    rows = []
    for life in sorted({moment.life for moment in seen}):
        ours = [moment for moment in seen if moment.life == life and moment.done > 0]
        for low, high in itertools.pairwise(edges):
            part = [moment for moment in ours if low <= moment.done <= high]
            if len(part) < 2 or part[-1].done == part[0].done:
                continue
            rate = (part[-1].done - part[0].done) / (part[-1].seconds - part[0].seconds)
            memory = [moment.megabytes for moment in part]
            rows.append(
                {
                    "pictures": f"{part[0].done} to {part[-1].done}",
                    "life": f"{life + 1}",
                    "pictures/s": f"{rate:.1f}",
                    "MB, mean": f"{np.mean(memory):.0f}",
                    "MB, largest": f"{max(memory):.0f}",
                }
            )
    return markdown_table(rows) if rows else "too few samples for a table"


if __name__ == "__main__":
    sys.exit(main())
