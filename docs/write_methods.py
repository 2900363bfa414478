"""Write docs/methods.md from the tables of methods, infillers and metrics.

python docs/write_methods.py
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fidojax.cite import reference, uses
from fidojax.methods import METHOD_ROWS, MethodRow, needs_of
from fidojax.metrics import METRIC_ROWS, MetricRow
from fidojax.presets import PRESETS
from infillers import INFILLER_ROWS, InfillerRow

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "methods.md"
TEXT = """\
# Methods, infillers and metrics

`python docs/write_methods.py` writes this page from the tables in `fidojax/methods/table.py`,
`infillers/table.py` and `fidojax/metrics/table.py`; a test compares them.
[deviations.md](deviations.md) says where paper and authors' code differ,
[equations.md](equations.md) which line computes which equation.

## Methods

`fidojax.METHODS` has the methods by name, `fidojax.LOOPS` the loops of those that optimise
(marked with an asterisk). `fidojax.register_method` adds a method.

{methods}

`deconvnet`, `guided_backprop` and `deeplift` are rules on the classifier's traced program: they
need no layer names and work on any JAX classifier; an operation without a rule is refused by name.
A classifier that shows its features is a `fidojax.Split`, or is loaded with `layer=`.

`fidojax.over_keys("fido", 8)` is the same method over 8 keys, with the standard error of its map in
`info.error`. `fidojax.start_from` makes FIDO's start of any map
([warm_start.md](results/warm_start.md)). `fidojax.lambda_path` gives FIDO's maps for several values
of lambda in one run and one compilation, each starting from the one before
([fido/path.py](../fidojax/methods/fido/path.py)).

`varsal` and `realtime` need one pass of a network that was trained for the classifier. `varsal`
gives the map with a standard deviation of every pixel
([03_uncertainty.ipynb](../notebooks/03_uncertainty.ipynb); what it is worth:
[varsal_uncertainty.md](results/varsal_uncertainty.md)). `realtime` takes one pass for each class
asked for; `confidence=0` suits the shipped maskers better than their authors' 6
([fido_table1.md](results/fido_table1.md)).

## Presets

`fidojax.presets.PRESETS` has options by name: `fidojax.fido(..., **presets.vdsm)`, `--preset vdsm`.
`paper` is FIDO as published (300 steps of 8 masks); `fast` takes a tenth of its classifier
evaluations at the same objective ([schedules.md](schedules.md)); `vdsm` is FIDO as configured for
MNIST.

{presets}

## Infillers

`infillers.INFILLERS` has the factories by name; `infillers.register_infiller` adds one. An infiller
is a callable pytree `infill(key, image, mask) -> image`. The command line takes its constants, too:
`--infill blur:sigma=5`. What the infillers are worth, measured on 500 pictures:
[infill_recovery.md](results/infill_recovery.md).

{infillers}

Weights and inpainters of others, one line each:

    infillers.mae("facebook/vit-mae-base")  # is fetched; needs pip install 'fidojax[mae]'
    infillers.mae("vit-mae-base/")  # the folder with config.json and model.safetensors
    infillers.from_function(inpaint, 256, values=(-1, 1), mask="drop", layout="nchw")
    infillers.from_torch(lama, (256, 256, 3), inputs="stacked", mask="drop")

MAE's authors published weights that draw pixels and weights that draw normalised patches;
`config.json` tells which (`norm_pix_loss`), or the argument of that name. Pictures of other sizes
than the network's are resized by `infillers.resized`.

## Metrics

`fidojax.metrics.METRICS` has the metrics by name; each judges one map of one image, and
`fidojax.measure_batch` judges many. [evaluation.md](evaluation.md) has the studies that use them.

{metrics}
"""


def page() -> str:
    """The whole of docs/methods.md."""
    methods = table(
        ("method", "what the map says", "values", "needs", "papers", "file"),
        [method_cells(row) for row in METHOD_ROWS.values()],
    )
    infillers = table(
        ("infiller", "what stands where pixels were dropped", "sees", "papers", "file"),
        [infiller_cells(row) for row in INFILLER_ROWS.values()],
    )
    presets = table(
        ("preset", "options", "papers"),
        [
            (f"`{name}`", preset_cell(options), papers(uses().get(name, ())))
            for name, options in PRESETS.items()
        ],
    )
    metrics = table(
        ("metric", "headline number", "better", "needs", "papers", "file"),
        [metric_cells(row) for row in METRIC_ROWS.values()],
    )
    return TEXT.format(methods=methods, presets=presets, infillers=infillers, metrics=metrics)


def method_cells(row: MethodRow) -> tuple[str, ...]:
    """The cells of a method's line."""
    values = row.unit.replace("{keep}", "keep or drop")
    values += f", in [{row.limits[0]:g}, {row.limits[1]:g}]" if row.limits else ""
    name = f"`{row.name}`{' *' if row.loop else ''}"
    return (
        name,
        row.says,
        values,
        "; ".join(needs_of(row)),
        papers(row.papers),
        source(row.function),
    )


def infiller_cells(row: InfillerRow) -> tuple[str, ...]:
    """The cells of an infiller's line."""
    name = f"`{row.name}`{' (learned)' if row.learned else ''}"
    return name, row.says, row.sees, papers(row.papers), source(row.factory)


def metric_cells(row: MetricRow) -> tuple[str, ...]:
    """The cells of a metric's line."""
    number = f"`{row.headline}`, {row.unit}"
    needs = "; ".join(row.needs)
    name = f"`{row.name}`"
    return name, number, row.better, needs, papers(row.papers), source(row.function)


def preset_cell(options: dict[str, Any]) -> str:
    """The options of a preset."""
    return ", ".join(f"{name} = {value}" for name, value in options.items()) or "the defaults"


def papers(keys: Sequence[str]) -> str:
    """Papers in a few words each, with links to arXiv."""
    link = r"[arXiv \1](https://arxiv.org/abs/\1)"
    return "; ".join(re.sub(r"arXiv (\S+)", link, reference(key)) for key in keys)


def source(function: Callable[..., Any]) -> str:
    """A link to the file that a function is written in."""
    # By the module: a loop's method is made by a function of another file.
    path = Path(sys.modules[function.__module__].__file__ or "").resolve()
    inside = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    return f"[{path.name}](../{inside.as_posix()})"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
