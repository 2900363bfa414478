"""Check that a killed and resumed run of `eval.run` ends with the bits of an undisturbed one.

    python -m benchmarks.kills --kills 20 --out runs/kills -- \
        fido-table1 --data-dir DATA --limit 500 --ca-limit 0 --methods gradient rise

The protocol runs once undisturbed, and once under SIGKILL at random moments, each time restarted.
Then every array of the two stores is compared.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

DIFFERENT = ("seconds",)
"""The columns that may differ."""


def main() -> int:
    """Run both, print the comparison, and return 0 if all bits are equal."""
    parser = argparse.ArgumentParser(description="Kill a protocol and compare its stored arrays")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shortest", type=float, default=8.0, help="shortest life in seconds")
    parser.add_argument("--longest", type=float, default=30.0, help="longest life in seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- protocol and its options")
    asked = parser.parse_args()
    command = [word for word in asked.command if word != "--"]
    environment = dict(
        os.environ, JAX_COMPILATION_CACHE_DIR=str((asked.out / "compiled").absolute())
    )
    whole, killed = asked.out / "whole", asked.out / "killed"
    start = time.monotonic()
    if subprocess.call(_words(command, whole), env=environment, stdout=subprocess.DEVNULL):
        print("the undisturbed run failed", file=sys.stderr)
        return 1
    print(f"undisturbed: {time.monotonic() - start:.0f} s")
    lives = _kill(command, killed, environment, asked)
    done = sum(life.endswith("killed") for life in lives)
    print(f"{done} kills in {len(lives)} lives: {', '.join(lives)}")
    arrays, differing = compare(whole / "results.zarr", killed / "results.zarr")
    print(f"{arrays} arrays compared, {len(differing)} differ", *differing)
    return 1 if differing or done < asked.kills else 0


def _kill(command: Sequence[str], out: Path, environment, asked) -> list[str]:
    """Run the command under kills; return how every life ended."""
    draw = random.Random(asked.seed)
    lives: list[str] = []
    while True:
        process = subprocess.Popen(_words(command, out), env=environment, stdout=subprocess.DEVNULL)
        length = draw.uniform(asked.shortest, asked.longest)
        try:
            process.wait(length if len(lives) < asked.kills else None)
            lives.append(f"ended with {process.returncode}")
            return lives
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            lives.append(f"{length:.1f} s, killed")


def _words(command: Sequence[str], out: Path) -> list[str]:
    return [sys.executable, "-m", "eval.run", *command, "--out", str(out)]


def compare(one: Path, other: Path) -> tuple[int, list[str]]:
    """Return the number of arrays of two stores and the paths of those that differ in any bit."""
    ours, theirs = _arrays(one), _arrays(other)
    differing = sorted(ours.keys() ^ theirs.keys())
    for path in ours.keys() & theirs.keys():
        if path.rpartition("/")[2] not in DIFFERENT and not _same(ours[path], theirs[path]):
            differing.append(path)
    return len(ours.keys() | theirs.keys()), differing


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind == "f":  # NaN is equal to itself here
        return one.tobytes() == other.tobytes()
    return bool((one == other).all())


def _arrays(store: Path) -> dict[str, np.ndarray]:
    found = {}
    for path in store.rglob("zarr.json"):
        array: Any = zarr.open(path.parent, mode="r")
        if isinstance(array, zarr.Array):
            found[path.parent.relative_to(store).as_posix()] = np.asarray(array[...])
    return found


if __name__ == "__main__":
    sys.exit(main())
