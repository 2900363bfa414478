"""What does each explainer cost, in passes of the classifier?

    python -m benchmarks.methods --json methods.json
    python -m benchmarks.methods --network keras:MobileNetV2 --weights FILE --methods fido rise

Each explains a few pictures at once. Its floor is what its passes would cost bare: those that are
only forward at the price of a forward pass, those with a gradient at the price of a gradient, both
in flat batches. *ratio* is its time over that floor, all measured in one run. VarSal, whose Figure
5b this is, and Realtime stand beside them where their networks are there.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.measure import interleaved
from benchmarks.throughput import bare_gradient
from benchmarks.throughput_report import about
from eval.counting import count_passes
from eval.methods import Setting, settings
from fidojax import cpu, pretrained
from fidojax.encoders import load_encoder, load_masker
from fidojax.run import explain_batch
from fidojax.types import Classifier

AMORTISED = {"varsal": ("encoder", load_encoder), "realtime": ("masker", load_masker)}
"""Methods with a trained network: their option for it, and what reads it."""
BATCH = 16
"""Pictures per flat batch of the bare passes, or the method's own passes where those are fewer."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Time every explainer beside bare passes of the classifier."""

    network: str = "tiny_imagenet40"
    """What `fidojax.pretrained.load` takes."""
    weights: Path | None = None
    """Weights file of a Keras network; random weights if not given."""
    methods: tuple[str, ...] = ()
    """Rows of `eval.methods.settings`; all of them if not given."""
    encoder: str | None = None
    """VarSal's, a name or file for `load_encoder`; the one shipped for the network if not given."""
    masker: str | None = None
    """Realtime's, the same for `load_masker`."""
    pictures: int = 8
    """Explained at once."""
    repeats: int = 3
    rounds: int = 2
    clock: Literal["wall", "cpu"] = "wall"
    json: Path | None = None
    """Also write the results here."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        forward, backward: pictures through the classifier per map, see `eval.counting.Passes`.
        seconds: per map, through `explain_batch`.
        floor: seconds per map of its passes alone; None where it makes none.
        ratio: seconds / floor.
    """

    method: str
    forward: int
    backward: int
    seconds: float
    floor: float | None
    ratio: float | None


@jax.jit
def bare_forward(classifier: Classifier, images):
    """Nothing but the logits."""
    return classifier(images)


def measure(config: Config, name: str, setting: Setting, model: pretrained.Pretrained) -> Row:
    """The row of one method."""
    passes = count_passes(setting.method, setting.options, model.size, len(model.labels))
    count = config.pictures
    pictures = np.random.default_rng(0).random((count, *model.size), np.float32)
    alone = passes.forward - passes.backward
    forward_batch, backward_batch = (min(BATCH, count * n) for n in (alone, passes.backward))

    def explain():
        return explain_batch(
            setting.method, model.classifier, pictures, [0] * count, options=setting.options,
            micro_batch=count,
        ).saliency  # fmt: skip

    some = np.resize(pictures, (max(forward_batch, 1), *model.size))
    more = np.resize(pictures, (max(backward_batch, 1), *model.size))
    targets = np.zeros(len(more), np.int32)
    calls = [
        explain,
        lambda: bare_forward(model.classifier, some),
        lambda: bare_gradient(model.classifier, more, targets),
    ]
    seconds, forward, backward = interleaved(calls, config.repeats, config.rounds, config.clock)
    floor = None
    if passes.forward:
        floor = alone * forward / max(forward_batch, 1)
        floor += passes.backward * backward / max(backward_batch, 1)
    seconds /= count
    ratio = None if floor is None else seconds / floor
    return Row(name, passes.forward, passes.backward, seconds, floor, ratio)


def amortised(config: Config) -> dict[str, Setting]:
    """The rows of methods with a trained network, where it is given or shipped."""
    found = {}
    for method, (option, load) in AMORTISED.items():
        given = getattr(config, option)
        try:
            network = load(given or config.network)
        except FileNotFoundError:
            if given or method in config.methods:
                raise
            continue
        found[method] = Setting(method, {option: network})
    return found


def main(config: Config) -> list[Row]:
    """Measure, print, and write the file that was asked for."""
    weights = config.weights
    if config.network.startswith("keras:") and weights is None:
        weights = "random"
    model = pretrained.load(config.network, weights)
    model = model._replace(classifier=cpu.fast(model.classifier))
    known = settings() | amortised(config)
    console, rows = Console(), []
    for name in config.methods or known:
        rows.append(measure(config, name, known[name], model))
        console.print(f"{name}: {rows[-1].seconds:.3g} s")
    table = Table("method", "forward", "backward", "s", "floor", "ratio", title=config.network)
    for row in rows:
        floor, ratio = ("" if x is None else f"{x:.3g}" for x in (row.floor, row.ratio))
        counts = (str(row.forward), str(row.backward))
        table.add_row(row.method, *counts, f"{row.seconds:.3g}", floor, ratio)
    console.print(table)
    if config.json:
        chosen = {**dataclasses.asdict(config), "json": None}
        for file in ("weights", "encoder", "masker"):
            chosen[file] = chosen[file] and Path(chosen[file]).name
        result = {"about": about(chosen), "rows": [dataclasses.asdict(row) for row in rows]}
        config.json.write_text(json.dumps(result, indent=1) + "\n")
    return rows


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
