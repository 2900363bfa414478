"""What does each infiller cost a FIDO step, and how much memory does a batch of masks take?

    python -m benchmarks.infillers --json infillers.json
    python -m benchmarks.infillers --smoke

*ratio* is the time of a step over that of the bare classifier gradient on the same flat batch, all
infillers and the gradient in turn in one run; no gradient passes an infiller, so what it adds is
one forward pass per mask. Memory is that of infilling all masks of all images at once, in a fresh
process per infiller: what the compiled program says, and the process's peak.
"""

import dataclasses
import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.measure import PeakMemory, interleaved
from benchmarks.throughput import FIDO, bare_gradient
from benchmarks.throughput_report import about
from fidojax import cpu, presets, pretrained, run
from fidojax.types import Classifier, Infiller
from infillers import INFILLERS

LIMIT = 8 * 1024**3 / 1e6
"""MB that a learned infiller may take for 8 images x 8 masks at 64 x 64: 8 GiB."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Time a FIDO step with each infiller, and measure the memory of the learned ones."""

    network: str = "tiny_imagenet40"
    """What `fidojax.pretrained.load` takes."""
    infill: tuple[str, ...] = ()
    """Names of infillers; all if none is given. Those whose weights are absent are left out."""
    memory: tuple[str, ...] = ("vae", "ca")
    """Infillers whose memory is measured."""
    images: int = 8
    masks: int = 8
    """Masks per image and step."""
    repeats: int = 5
    """Steps of each, in turn, per round."""
    rounds: int = 3
    """The lowest median of so many rounds counts."""
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: the process's CPU time over all threads, for a machine that is busy with other work."""
    json: Path | None = None
    """Also write the results here."""
    smoke: bool = False
    """The smallest run that touches everything, in seconds."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A FIDO step with one infiller.

    Attributes:
        evaluations_per_second: masked images, forward and backward.
        step: seconds of one step on all images and masks.
        gradient: seconds of the bare gradient on as many images.
        ratio: step / gradient.
    """

    infill: str
    evaluations_per_second: float
    step: float
    gradient: float
    ratio: float


@dataclasses.dataclass(frozen=True)
class Memory:
    """Infilling `images` x `masks` at once, in MB.

    Attributes:
        scratch: what the compiled program allocates for its own use.
        peak: the process's peak or, on an accelerator, the device's, see `PeakMemory`; with
            Python, the weights and compiling. None where the system does not tell.
    """

    infill: str
    scratch: float
    peak: float | None


def available(names: Sequence[str], console: Console) -> dict[str, Infiller]:
    """The infillers of these names; those whose weights are absent are told and left out."""
    found = {}
    for name in names:
        if name not in INFILLERS:
            console.print(f"{name} is left out: there is no such infiller")
            continue
        try:
            found[name] = INFILLERS[name]()
        except FileNotFoundError as error:
            console.print(f"{name} is left out: {error}", markup=False, soft_wrap=True)
    return found


def measure(
    config: Config, infills: dict[str, Infiller], classifier: Classifier, size: tuple[int, int, int]
) -> list[Row]:
    """The rows, all measured in turn."""
    pictures = np.random.default_rng(0).random((config.images, *size), np.float32)
    targets = np.zeros(config.images, np.int32)
    batch = jax.device_put((run.image_keys(0, range(config.images)), pictures, targets, {}))
    flat = jnp.repeat(batch[1], config.masks, axis=0)
    flat_targets = jnp.repeat(batch[2], config.masks)
    steps = [_stepper(config, infill, classifier, batch) for infill in infills.values()]
    *times, gradient = interleaved(
        [*steps, lambda: bare_gradient(classifier, flat, flat_targets)],
        config.repeats, config.rounds, config.clock,
    )  # fmt: skip
    count = config.images * config.masks
    return [
        Row(name, count / step, step, gradient, step / gradient)
        for name, step in zip(infills, times, strict=True)
    ]


def _stepper(config: Config, infill: Infiller, classifier: Classifier, batch):
    """A function that does one FIDO step on all images."""
    options = {**presets.fast, "infill": infill, "samples": config.masks}
    static, dynamic = run.split_options(options)
    state = run.init(classifier, dynamic, batch, method=FIDO, static=static)

    def step():
        nonlocal state
        state, record = run.advance(
            classifier, dynamic, batch, state, method=FIDO, static=static, length=1
        )
        return record

    return step


def memory(name: str, images: int, masks: int, size: tuple[int, int, int]) -> Memory:
    """To be called in a fresh process, whose peak it is."""
    peak = PeakMemory()
    infill = INFILLERS[name]()
    pictures = np.random.default_rng(0).random((images, *size), np.float32)
    holes = np.random.default_rng(1).integers(0, 2, (images, masks, *size[:2])).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), (images, masks))

    @jax.jit
    def fill(infill, keys, pictures, holes):
        return jax.vmap(jax.vmap(infill, in_axes=(0, None, 0)))(keys, pictures, holes)

    compiled = fill.lower(infill, keys, pictures, holes).compile()
    jax.block_until_ready(compiled(infill, keys, pictures, holes))
    analysis = compiled.memory_analysis()
    scratch = analysis.temp_size_in_bytes / 1e6 if analysis else float("nan")
    return Memory(name, scratch, peak.megabytes())


def in_fresh_process(name: str, images: int, masks: int, size: tuple[int, int, int]) -> Memory:
    """What `memory` returns in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool:
        return pool.submit(memory, name, images, masks, size).result()


def main(config: Config) -> tuple[list[Row], list[Memory]]:
    """Measure, print, and write the file that was asked for."""
    if config.smoke:
        config = dataclasses.replace(config, images=2, masks=2, repeats=1, rounds=1)
    console = Console()
    model = pretrained.load(config.network)
    infills = available(config.infill or tuple(INFILLERS), console)
    rows = measure(config, infills, cpu.fast(model.classifier), model.size)
    table = Table("infill", "masks/s", "ms/mask", "ratio", title="A FIDO step with each infiller")
    for row in rows:
        each = 1e3 / row.evaluations_per_second
        rate = f"{row.evaluations_per_second:.0f}"
        table.add_row(row.infill, rate, f"{each:.3g}", f"{row.ratio:.3f}")
    console.print(table)
    batch = f"{config.images} images x {config.masks} masks"
    memories = []
    for name in available(config.memory, console):
        found = in_fresh_process(name, config.images, config.masks, model.size)
        memories.append(found)
        peak = "" if found.peak is None else f", peak {found.peak:.0f} MB"
        fits = "within" if max(found.scratch, found.peak or 0) < LIMIT else "MORE THAN"
        console.print(f"{name}, {batch}: scratch {found.scratch:.0f} MB{peak}, {fits} 8 GiB")
    if config.json:
        result = {
            "about": about({**dataclasses.asdict(config), "json": None}),
            "rows": [dataclasses.asdict(row) for row in rows],
            "memory": [dataclasses.asdict(found) for found in memories],
        }
        config.json.write_text(json.dumps(result, indent=1) + "\n")
        console.print(f"wrote {config.json}")
    return rows, memories


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
