"""The rows of a benchmark: the cases to be measured, their results, and the tables of them."""

import copy
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fidojax.bench.passes import Passes
from fidojax.types import Classifier


@dataclasses.dataclass(frozen=True)
class BenchRow:
    """One method on one classifier at one batch size.

    *A call* is one step of an iterating method on all images, or the whole explanation of a
    method that does not iterate.

    Attributes:
        classifier, method, infill: their names; the infiller is empty where the method takes none.
        setting: the schedule of the method, where it differs from the default.
        precision: the precision of the classifier's products.
        images: the number of images per call.
        problem: the reason why nothing was measured; empty otherwise.
        forward, backward: pictures that pass the classifier per map, see `fidojax.bench.passes`.
        images_per_second: measured through `explain_batch`; for iterating methods the first steps
            are timed, and each further step is assumed to take as long.
        evaluations_per_second: the same in pictures that pass the classifier.
        seconds: the time of a call.
        floor: the seconds of the bare passes of a call; None where the method does not call the
            classifier.
        ratio: seconds / floor.
        peak_share: the floating point operations per second of a call, over those of a large matrix
            product in the same precision. In loops inside the method only the classifier's
            passes are counted.
        compile_cold, compile_cached: seconds to trace and compile the call, without and with JAX's
            persistent cache.
        program_mb: the memory of the compiled call, by its own analysis.
        peak_mb: the peak memory, see `fidojax.bench.clocks`.
    """

    classifier: str
    method: str
    setting: str
    infill: str
    precision: str
    images: int
    problem: str = ""
    forward: int | None = None
    backward: int | None = None
    images_per_second: float | None = None
    evaluations_per_second: float | None = None
    seconds: float | None = None
    floor: float | None = None
    ratio: float | None = None
    peak_share: float | None = None
    compile_cold: float | None = None
    compile_cached: float | None = None
    program_mb: float | None = None
    peak_mb: float | None = None


class Case(NamedTuple):
    """A row to be measured.

    Attributes:
        row: the row with its names filled in.
        network: the classifier.
        size: the sides and channels "h w c" of its pictures.
        options: the options of the method.
        each: the options that differ per image, for one image.
        passes: the passes of the classifier per map.
        operations: the operations of a pass, see `fidojax.bench.floors.operations`.
    """

    row: BenchRow
    network: Classifier
    size: tuple[int, int, int]
    options: Mapping[str, Any]
    each: Mapping[str, Any]
    passes: Passes
    operations: tuple[float, float]


class How(NamedTuple):
    """How carefully a row is measured.

    Attributes:
        steps: the number of steps of the timed run through the engine, for iterating methods.
        repeats: the number of calls per round, each with the bare passes in turn.
        rounds: the number of rounds; the lowest of their medians is the result.
        clock: a key of `fidojax.bench.clocks.CLOCKS`.
        spread: whether devices divide the evaluations of a picture, see `fidojax.engine.devices`.
    """

    steps: int
    repeats: int
    rounds: int
    clock: str
    spread: bool = False


EXPLAINED = (
    "ratio: time over that of the classifier's bare passes; peak: operations per second over those "
    "of a large matrix product; MB: of the program by its own analysis / at most in use"
)


def cells(row: BenchRow) -> dict[str, str]:
    """Return the texts of a row by column."""
    both = (row.program_mb, row.peak_mb)
    return {
        "classifier": row.classifier,
        "method": row.method,
        "infill": row.infill,
        "precision": row.precision,
        "images": str(row.images),
        "passes": "" if row.forward is None else str(row.forward),
        "images/s": _number(row.images_per_second),
        "passes/s": _number(row.evaluations_per_second) if row.forward else "",
        "ratio": "" if row.ratio is None else f"{row.ratio:.3f}",
        "peak": "" if row.peak_share is None else f"{row.peak_share:.0%}",
        "compile s": _number(row.compile_cold, 2),
        "cached s": _number(row.compile_cached, 2),
        "MB": " / ".join(f"{mb:.0f}" for mb in both if mb is not None),
        "note": row.problem or row.setting,
    }


def _number(value: float | None, digits: int = 3) -> str:
    """Format a number with at most `digits` significant digits; empty for None."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 10 ** (digits - 1) else f"{value:.{digits}g}"


NAMES = ("classifier", "method", "infill", "precision", "note")
"""The columns of words; the others are of numbers."""
HEADS = {
    "images/s": "images\nper s", "passes/s": "passes\nper s", "compile s": "compile\nseconds",
    "cached s": "cached\nseconds", "MB": "MB: program\n/ at most",
}  # fmt: skip
"""Heads of two lines, for terminals of 80 columns."""


def terminal_table(rows: Sequence[BenchRow]) -> Group:
    """Return the table for a terminal of 80 columns or more.

    Rows that differ in numbers alone follow one line with their names and their note, since names
    and numbers do not fit beside each other.
    """
    lines = [cells(row) for row in rows]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in (name for name in lines[0] if name not in NAMES):
        widest = max(len(part) for line in lines for part in [line[name], *_head(name)])
        table.add_column(HEADS.get(name, name), justify="right", no_wrap=True, width=widest)
    parts: list[RenderableType] = []
    for names, found in itertools.groupby(lines, lambda line: [line[name] for name in NAMES]):
        *before, note = names
        said = ", ".join(filter(None, before)) + (f": {note}" if note else "")
        parts.append(Text(said, style="bold"))
        own = copy.deepcopy(table)
        own.show_header = len(parts) == 1
        for line in found:
            own.add_row(*(value for name, value in line.items() if name not in NAMES))
        parts.append(own)
    return Group(*parts, Text(EXPLAINED, style="dim"))


def _head(name: str) -> list[str]:
    return HEADS.get(name, name).split("\n")


def markdown_table(rows: Sequence[BenchRow]) -> str:
    """Return the table in Markdown."""
    lines = [list(cells(rows[0])), *(list(cells(row).values()) for row in rows)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + f"\n{EXPLAINED}\n"
