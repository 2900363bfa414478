"""How many images, and mask evaluations, per second? And how near to the ceiling is that?

    python -m benchmarks.throughput --json throughput.json
    python -m benchmarks.throughput --networks keras:MobileNetV2 --weights FILE --batches 1 4
    python -m benchmarks.throughput --smoke

FIDO through the public engine, for each network and number of images per call. The ceiling is the
bare gradient: `value_and_grad` of the score to the input, on as many images as one step evaluates.
With the extra `[torch]` a plain PyTorch FIDO runs beside it on the same weights. On the CPU all
classifiers go through `fidojax.cpu.fast`. The figures are in benchmarks/RESULTS.md.
"""

import dataclasses
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console

from benchmarks.measure import PeakMemory, compile_seconds, interleaved
from benchmarks.throughput_report import Row, about, reason, table
from fidojax import cpu, presets, pretrained, run
from fidojax.methods import METHODS
from fidojax.methods.fido import fido_loop
from fidojax.score import log_odds
from fidojax.types import Classifier
from infillers.mean import mean

FIDO = METHODS["fido"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure FIDO's throughput, and print one row per network and batch size."""

    networks: tuple[str, ...] = ("tiny_imagenet40", "keras:MobileNetV2", "mnist")
    """What `fidojax.pretrained.load` takes. Keras networks are left out where Keras is missing."""
    batches: tuple[int, ...] = (1, 4, 16)
    """Images per compiled call."""
    weights: Path | None = None
    """Weights file of the Keras networks; random weights if not given."""
    preset: Literal["fast", "paper"] = "fast"
    """Sets the masks per step, and the steps that `images/s` counts."""
    steps: int = 10
    """Steps of the run through the engine that is timed."""
    repeats: int = 5
    """Steps, and bare gradients in turn with them, per round."""
    rounds: int = 3
    """The lowest median of so many rounds counts."""
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: the process's CPU time over all threads, for a machine that is busy with other work."""
    fast: bool = True
    """Rewrite the classifier for the CPU."""
    reuse_memory: bool = True
    """Keep freed memory in the process (`fidojax.cpu.reuse_memory`)."""
    torch: bool = True
    """Compare with PyTorch where it is installed."""
    json: Path | None = None
    """Also write the results here."""
    smoke: bool = False
    """The smallest run that touches everything, in seconds."""


@jax.jit
def bare_gradient(classifier: Classifier, images, targets):
    """The scores' sum and its gradient to the images: what no explanation step can undercut."""

    def total(images):
        return jnp.sum(jax.vmap(log_odds)(classifier(images), targets))

    return jax.value_and_grad(total)(images)


def measure(config: Config) -> Iterator[Row]:
    """The rows, one by one."""
    for name in config.networks:
        keras = name.startswith("keras:")
        if keras and importlib.util.find_spec("keras") is None:
            continue
        network = pretrained.load(name, (config.weights or "random") if keras else None)
        classifier = cpu.fast(network.classifier) if config.fast else network.classifier
        for images in config.batches:
            row = _measure(config, name, classifier, network.size, images)
            yield _beside_torch(config, row, network.size)


def _measure(config: Config, name: str, classifier, size, images: int) -> Row:
    options = {"infill": mean(), **presets.PRESETS[config.preset]}
    loop = fido_loop(**options)
    static, dynamic = run.split_options(options)
    known = {"method": FIDO, "static": static}
    pictures = np.random.default_rng(0).random((images, *size), np.float32)
    targets = np.zeros(images, np.int32)
    batch = jax.device_put((run.image_keys(0, range(images)), pictures, targets, {}))

    cold = cached = None
    if images == config.batches[0]:
        state = jax.eval_shape(lambda: run.init(classifier, dynamic, batch, **known))
        cold, cached = compile_seconds(
            lambda: run.advance.lower(classifier, dynamic, batch, state, **known, length=1)
        )
    peak = PeakMemory()
    state = run.init(classifier, dynamic, batch, **known)

    def step():
        nonlocal state
        state, record = run.advance(classifier, dynamic, batch, state, **known, length=1)
        return record

    flat = jnp.repeat(batch[1], loop.evaluations, axis=0)
    flat_targets = jnp.repeat(batch[2], loop.evaluations)
    step_time, gradient_time = interleaved(
        [step, lambda: bare_gradient(classifier, flat, flat_targets)],
        config.repeats, config.rounds, config.clock,
    )  # fmt: skip

    short = {**options, "steps": config.steps, "warmup": 0}
    whole = interleaved(
        [
            lambda: run.explain_batch(
                FIDO, classifier, pictures, targets, options=short, micro_batch=images,
                rewrite=config.fast,
            )
        ],
        1, config.rounds, config.clock,
    )[0]  # fmt: skip
    rate = images * loop.evaluations * config.steps / whole
    return Row(
        network=name,
        images=images,
        masks=images * loop.evaluations,
        images_per_second=rate / (loop.evaluations * loop.steps),
        evaluations_per_second=rate,
        step=step_time,
        gradient=gradient_time,
        ratio=step_time / gradient_time,
        compile_cold=cold,
        compile_cached=cached,
        peak_mb=peak.megabytes(),
    )


def _beside_torch(config: Config, row: Row, size) -> Row:
    """The row with PyTorch's times, where it is installed and knows the network and its weights."""
    if not config.torch or importlib.util.find_spec("torch") is None:
        return row
    from benchmarks import torch_fido

    keras = row.network.startswith("keras:")
    file = config.weights if keras else pretrained.WEIGHTS / f"{row.network}.npz"
    if row.network not in torch_fido.NETWORKS or file is None or file.suffix != ".npz":
        return row
    network = torch_fido.NETWORKS[row.network](dict(np.load(file)))
    pictures = np.random.default_rng(0).random((row.images, *size), np.float32)
    color = np.full(size[2], 0.45, np.float32)
    options = {"lam": 1e-3, "tv": 0.01, "temperature": 0.1, "learning_rate": 0.05, "b2": 0.999,
               "antithetic": False, "samples": 8, **presets.PRESETS[config.preset]}  # fmt: skip
    measured: list[tuple[float, float, str]] = []
    for layout in torch_fido.LAYOUTS:
        fido = torch_fido.Fido(
            network, pictures, np.zeros(row.images, np.int32), color, layout, options
        )
        step, gradient = interleaved(
            [fido.step, fido.gradient], config.repeats, config.rounds, config.clock
        )
        measured.append((step, gradient, layout))
    step, gradient, layout = min(measured)
    return dataclasses.replace(row, torch_layout=layout, torch_step=step, torch_gradient=gradient)


def main(config: Config) -> list[Row]:
    """Measure, print, and write the file that was asked for."""
    if config.smoke:
        config = dataclasses.replace(
            config, networks=("mnist",), batches=(2,), steps=2, repeats=1, rounds=1
        )
    console = Console()
    rows = []
    for row in measure(config):
        rows.append(row)
        console.print(f"{row.network}, {row.images} images: {row.ratio:.3f} gradients per step")
    console.print(table(rows))
    for row in rows:
        if sentence := reason(row):
            console.print(sentence)
    if config.json:
        chosen = {
            k: v for k, v in dataclasses.asdict(config).items() if k not in ("json", "weights")
        }
        result = {"about": about(chosen), "rows": [dataclasses.asdict(row) for row in rows]}
        config.json.write_text(json.dumps(result, indent=1) + "\n")
        console.print(f"wrote {config.json}")
    return rows


if __name__ == "__main__":
    chosen = tyro.cli(Config, description=__doc__)
    if chosen.reuse_memory:
        cpu.reuse_memory()
    main(chosen)
