"""Check that killed and resumed runs of every program end with the bits of undisturbed ones.

    python -m benchmarks.kills --kills 40 --out runs/kills
    python -m benchmarks.kills --kills 20 --out runs/table1 -- \
        eval.run fido-table1 --data-dir DATA --limit 500 --learned-limit 0 --methods gradient rise

`fidojax explain`, a protocol and every training program run at tiny settings; or the module that
follows "--", with its options, except `--out`. Each runs once undisturbed. Then they run in turn,
under SIGKILL at random moments and restarted each time, and when one has ended, all its arrays are
compared with those of the undisturbed run. Every life is written to kills.json, so that the same
command goes on after it was itself stopped.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import zarr

from eval.report import markdown_table
from fidojax.data import write_json
from fidojax.networks import load
from fidojax.runs import find_ledger, verify

DIFFERENT = ("seconds",)
"""The columns that may differ."""
PHOTOS, PICTURES = "photos", 8
PROGRAMS = {
    "explain": f"fidojax.cli explain {{}}/{PHOTOS} --steps 12 --samples 2 --batch-size 1",
    "eval": f"eval.run fido-photos --data {{}}/{PHOTOS} --classifier tiny_imagenet40 --crop 1 "
    "--infill mean+blur --steps 6 --samples 2 --limit 6",
    "classifier": "train.classifier smoke",
    "vae": "train.vae smoke",
    "ca_gan": "train.ca_gan smoke",
    "varsal": "train.varsal smoke",
    "realtime": "train.realtime smoke",
}
"""The modules and their options; {} is the folder of the benchmark."""


def main() -> int:
    """Run all, print the comparison, and return 0 if all bits are equal."""
    parser = argparse.ArgumentParser(description="Kill programs and compare what they store")
    parser.add_argument("--kills", type=int, default=40, help="number of kills in all")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- MODULE and its options")
    asked = parser.parse_args()
    own = " ".join(word for word in asked.command if word != "--")
    _draw_photos(asked.out.absolute() / PHOTOS)
    killed = Killed(asked.out.absolute(), {"own": own} if own else PROGRAMS, asked.seed)
    while killed.kills < asked.kills or killed.open:
        killed.live(kill=killed.kills < asked.kills)
    print(markdown_table(killed.rows()))
    return 1 if any(killed.differing(name) for name in killed.programs) else 0


class Killed:
    """The programs and what has happened to them so far.

    Attributes:
        out: the folder of the benchmark.
        programs: module and options by name.
        state: by program the seconds of the undisturbed run, the moments of the kills, the number
            of ends, and what differed at them.
    """

    def __init__(self, out: Path, programs: dict[str, str], seed: int) -> None:
        self.out, self.programs, self._seed = out, programs, seed
        self._environment = dict(os.environ, JAX_COMPILATION_CACHE_DIR=str(out / "compiled"))
        empty = {"whole": None, "killed_at": [], "ends": 0, "differing": [], "open": False}
        self.state: dict[str, Any] = {name: {**empty, "killed_at": []} for name in programs}
        if (out / "kills.json").exists():
            self.state |= json.loads((out / "kills.json").read_text())

    @property
    def kills(self) -> int:
        """The number of kills so far."""
        return sum(len(self.state[name]["killed_at"]) for name in self.programs)

    @property
    def open(self) -> list[str]:
        """The programs that were killed and have not ended since."""
        return [name for name in self.programs if self.state[name]["open"]]

    def differing(self, name: str) -> list[str]:
        """What differed from the undisturbed run."""
        return self.state[name]["differing"]

    def live(self, *, kill: bool) -> None:
        """Start the program that was started least, or one that has not ended, and end it."""
        names = list(self.programs) if kill else self.open
        name = min(names, key=self._lives)
        state, folder = self.state[name], self.out / f"{name}-killed"
        if state["whole"] is None:
            shutil.rmtree(self.out / f"{name}-whole", ignore_errors=True)
            start = time.monotonic()
            self._run(name, f"{name}-whole", None)
            state["whole"] = time.monotonic() - start
        draw = random.Random(f"{self._seed} {name} {self._lives(name)}")
        moment = draw.uniform(0.1, 1.0) * state["whole"] if kill else None
        start = time.monotonic()
        if self._run(name, folder.name, moment):
            state["differing"] += differences(self.out / f"{name}-whole", folder)
            state["ends"] += 1
            if not state["open"]:  # it was slower when it compiled
                state["whole"] = min(state["whole"], time.monotonic() - start)
            state["open"] = False
            shutil.rmtree(folder)
        else:
            state["killed_at"].append(moment)
            state["open"] = True
        write_json(self.out / "kills.json", self.state)

    def _lives(self, name: str) -> int:
        return len(self.state[name]["killed_at"]) + self.state[name]["ends"]

    def _run(self, name: str, folder: str, moment: float | None) -> bool:
        """Run the program, and return whether it has ended before the moment of its kill."""
        module, *options = self.programs[name].format(self.out).split()
        command = [sys.executable, "-m", module, *options, "--out", str(self.out / folder)]
        log = (self.out / f"{folder}.log").open("a")
        with (
            log,
            subprocess.Popen(command, env=self._environment, stdout=log, stderr=log) as process,
        ):
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                return False
        if process.returncode:
            raise SystemExit(f"{name} ended with {process.returncode}; see {log.name}")
        return True

    def rows(self) -> list[dict[str, str]]:
        """A table: kills, ends and differences of each program."""
        return [
            {
                "program": name,
                "undisturbed, s": f"{self.state[name]['whole'] or 0:.0f}",
                "kills": str(len(self.state[name]["killed_at"])),
                "ends": str(self.state[name]["ends"]),
                "differ": ", ".join(self.differing(name)) or "none",
            }
            for name in self.programs
        ]


def differences(one: Path, other: Path) -> list[str]:
    """What differs between the results in two folders, by name; empty where all bits are equal."""
    found = compare(one, other)[1]
    for path in sorted(one.rglob("*.npz")):
        place = path.relative_to(one)
        with np.load(path) as ours, np.load(other / place) as theirs:
            names = set(ours) | set(theirs)
            found += [f"{place}/{name}" for name in names if not _same(ours[name], theirs[name])]
    return found + verify(other) + _without_maps(other)


def compare(one: Path, other: Path) -> tuple[int, list[str]]:
    """Return the number of arrays of two stores and the paths of those that differ in any bit."""
    ours, theirs = _arrays(one), _arrays(other)
    differing = sorted(ours.keys() ^ theirs.keys())
    for path in ours.keys() & theirs.keys():
        if path.rpartition("/")[2] not in DIFFERENT and not _same(ours[path], theirs[path]):
            differing.append(path)
    return len(ours.keys() | theirs.keys()), differing


def _without_maps(folder: Path) -> list[str]:
    """The records of `fidojax explain` whose map is not theirs."""
    found = []
    for path in folder.glob("records/*.json"):
        place = json.loads(path.read_text())["map"]
        ledger = find_ledger(folder / place["ledger"])
        if ledger is None or ledger.ids[place["row"]] != path.stem:
            found.append(path.name)
    return found


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind == "f":  # NaN is equal to itself here
        return one.tobytes() == other.tobytes()
    return bool((one == other).all())


def _arrays(store: Path) -> dict[str, np.ndarray]:
    found = {}
    for path in store.rglob("zarr.json"):
        if "checkpoints" in path.parts:  # of a training program
            continue
        array: Any = zarr.open(path.parent, mode="r")
        if isinstance(array, zarr.Array):
            found[path.parent.relative_to(store).as_posix()] = np.asarray(array[...])
    return found


def _draw_photos(folder: Path) -> None:
    """Pictures whose names begin with the index of the class that the protocol's network says."""
    if folder.exists():
        return
    network = load("tiny_imagenet40")
    pictures = [
        PIL.Image.fromarray(np.random.default_rng(i).integers(0, 255, (6, 6, 3), np.uint8)).resize(
            (network.size[1], network.size[0])
        )
        for i in range(PICTURES)
    ]
    images = np.stack([np.asarray(picture, np.float32) / 255 for picture in pictures])
    folder.mkdir(parents=True)
    for i, label in enumerate(np.asarray(network.classifier(images)).argmax(-1)):
        pictures[i].save(folder / f"{label}_{i}.png")


if __name__ == "__main__":
    sys.exit(main())
