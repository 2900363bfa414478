"""Do memory and throughput of `fidojax explain` stay as they are over thousands of pictures?

    python -m benchmarks.endurance --out runs/endurance -- \
        tfds:tiny_imagenet40/train --data-dir DATA --limit 10000 --no-figures --steps 10

Runs the command, looks at its memory and at its store every few seconds, kills it once with
SIGKILL on the way and starts it again. The table has the means over tenths of the pictures; memory
is what the process holds in RAM (Linux).
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

from fidojax.runs import DONE, find_ledger

PARTS = 10


class Look(NamedTuple):
    """What was seen at one moment.

    Attributes:
        life: 0 before the kill, 1 after it.
        seconds: since the life began.
        done: pictures in the store.
        megabytes: of the process.
    """

    life: int
    seconds: float
    done: int
    megabytes: float


def main() -> int:
    """0 where the second life has finished what the first began."""
    parser = argparse.ArgumentParser(description="Watches `fidojax explain` over many pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--kill-at", type=int, default=None, help="pictures done at the kill")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- what `explain` takes")
    asked = parser.parse_args()
    words = [word for word in asked.command if word != "--"]
    asked.out.mkdir(parents=True, exist_ok=True)
    seen = list(_watch(words, asked, 0, asked.kill_at))
    if asked.kill_at is not None:
        seen += _watch(words, asked, 1, None)
    with (asked.out / "looks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Look._fields)
        writer.writerows(seen)
    print(table(seen))
    return 0


def _watch(words: Sequence[str], asked, life: int, kill_at: int | None) -> Iterator[Look]:
    results = asked.out / "explanations"
    command = [sys.executable, "-m", "fidojax.cli", "explain", *words, "--out", str(results)]
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(asked.every)
            memory, done = _megabytes(process.pid), _done(results)
            if memory is not None:
                yield Look(life, time.monotonic() - start, done, memory)
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


def table(seen: Sequence[Look]) -> str:
    """Throughput and memory by tenths of the pictures, as Markdown."""
    edges = np.linspace(0, max(moment.done for moment in seen), PARTS + 1)
    lines = ["| pictures | life | pictures/s | MB, mean | MB, largest |", "|---|---|---|---|---|"]
    for life in sorted({moment.life for moment in seen}):
        ours = [moment for moment in seen if moment.life == life and moment.done > 0]
        for low, high in itertools.pairwise(edges):
            part = [moment for moment in ours if low <= moment.done <= high]
            if len(part) < 2 or part[-1].done == part[0].done:
                continue
            rate = (part[-1].done - part[0].done) / (part[-1].seconds - part[0].seconds)
            memory = [moment.megabytes for moment in part]
            lines.append(
                f"| {part[0].done} to {part[-1].done} | {life + 1} | {rate:.1f} "
                f"| {np.mean(memory):.0f} | {max(memory):.0f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
