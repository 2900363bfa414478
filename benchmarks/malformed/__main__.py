"""Explain malformed pictures beside good ones, and load damaged weights; each must be one sentence.

    python -m benchmarks.malformed --out runs/malformed --pictures 1300 --weights 400

Three things are checked of `fidojax explain` in a process of its own: every malformed file is
explained or named in one line, the maps of the good pictures have the bits of a run without
malformed files, and the process takes less than 2 GB. Weights are loaded in this process.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL.Image

from benchmarks.malformed.pictures import BOMBS, large, make_malformed
from benchmarks.malformed.weights import bomb, damaged_weights
from fidojax.networks import SHIPPED, WEIGHTS, load, weight_files
from fidojax.runs import DONE, find_ledger, read_maps

GOOD = 8
EXPLAIN = ("--steps", "2", "--samples", "2", "--no-figures", "--batch-size", "4")
LARGE = {
    "jpeg": ("JPEG", 7_600, "RGB", {"progressive": True, "subsampling": 0}),
    "jpeg2000": ("JPEG2000", 5_400, "RGBA", {}),
    "webp": ("WEBP", 6_400, "RGBA", {"lossless": True}),
    "tiff": ("TIFF", 8_800, "F", {"compression": "tiff_lzw"}),
    "gif": ("GIF", 11_800, "L", {}),
}
"""Pictures as large as are decoded: format, side, mode, options."""


def main() -> int:
    """Run both parts, print the figures, and return 0 if all is as it must be."""
    parser = argparse.ArgumentParser(description="Explain malformed files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=1300)
    parser.add_argument("--weights", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-large", action="store_true", help="without pictures of 100 MPixels")
    asked = parser.parse_args()
    faults = [*_pictures(asked), *_weights(asked)]
    print("\n".join(faults) or "no fault")
    return 1 if faults else 0


def _pictures(asked) -> list[str]:
    good, mixed = asked.out / "good", asked.out / "mixed"
    for folder in (good, mixed):
        folder.mkdir(parents=True)
        _draw_good(folder)
    made = make_malformed(mixed, asked.pictures, asked.seed)
    if not asked.no_large:
        PIL.Image.MAX_IMAGE_PIXELS = None
        for name, make in BOMBS.items():
            made.append(mixed / name)
            made[-1].write_bytes(make())
        for name, (kind, side, mode, options) in LARGE.items():
            made.append(mixed / f"large.{name}")
            made[-1].write_bytes(large(kind, side, mode, **options))
    _, _, whole = _explain(good, asked.out / "alone")
    start = time.monotonic()
    code, said, maps = _explain(mixed, asked.out / "beside")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    failed = [line for line in said.splitlines() if line.startswith("  failed: ")]
    print(
        f"{len(made)} malformed pictures: {len(maps) - GOOD} explained, {len(failed)} named, "
        f"exit code {code}, {time.monotonic() - start:.0f} s, peak memory {peak / 1e9:.2f} GB"
    )
    faults = [f"{name}: another map" for name in whole if not _same(whole, maps, name)]
    if len(maps) - GOOD + len(failed) != len(made):
        faults.append("some files are neither explained nor named")
    if "Traceback" in said or code != 1:
        faults.append(f"exit code {code}: {said[-2000:]}")
    if peak > 2e9:
        faults.append("more than 2 GB")
    return faults


def _draw_good(folder: Path) -> None:
    for number in range(GOOD):
        noise = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
        picture = PIL.Image.fromarray(noise).resize((96, 72), PIL.Image.Resampling.BICUBIC)
        picture.save(folder / f"good {number}.png")


def _explain(folder: Path, out: Path) -> tuple[int, str, dict[str, np.ndarray]]:
    """Return the exit code, the text, and the maps by the name of the picture."""
    command = [sys.executable, "-m", "fidojax.cli", "explain", str(folder), "--out", str(out)]
    command += ["--classifier", "tiny_imagenet40", *EXPLAIN]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        text=True, errors="backslashreplace", env=os.environ | {"COLUMNS": "1000"},
    )  # fmt: skip
    ledger = find_ledger(next((out / "results.zarr").glob("fido-*")))
    assert ledger is not None
    rows = np.flatnonzero(ledger.status == DONE)
    return done.returncode, done.stdout, dict(
        zip([ledger.ids[row] for row in rows], read_maps(ledger, rows), strict=True)
    )  # fmt: skip


def _same(whole: dict[str, np.ndarray], maps: dict[str, np.ndarray], name: str) -> bool:
    return name in maps and maps[name].tobytes() == whole[name].tobytes()


def _weights(asked) -> list[str]:
    faults, refused, names = [], 0, list(SHIPPED)
    draw = random.Random(asked.seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.npz")
        for name in names:
            arrays = weight_files.read(WEIGHTS / f"{name}.npz")
            share = asked.weights // len(names)
            for kind, data in damaged_weights(arrays, share, draw.randrange(1000)):
                path.write_bytes(data)
                refused, faults = _load(name, path, kind, refused, faults)
        path.write_bytes(bomb({"conv1/kernel": (1_600_000_000,)}))
        size = path.stat().st_size
        refused, faults = _load(names[0], path, "bomb", refused, faults)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"{asked.weights} damaged weights and one of {size / 1e6:.1f} MB that declares 3.2 GB: "
        f"{refused} refused in a sentence, {grown:.0f} MB more memory"
    )
    return faults


def _load(
    name: str, path: Path, kind: str, refused: int, faults: list[str]
) -> tuple[int, list[str]]:
    try:
        load(name, path)
    except ValueError as error:
        if len(str(error).splitlines()) != 1 or str(path) not in str(error):
            faults.append(f"{name}, {kind}: {error}")
        return refused + 1, faults
    except Exception as error:
        faults.append(f"{name}, {kind}: {error!r}")
    return refused, faults


if __name__ == "__main__":
    sys.exit(main())
