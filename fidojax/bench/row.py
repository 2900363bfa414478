"""What is measured, and what came out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.table import Table

from fidojax.bench.passes import Passes
from fidojax.types import Classifier


@dataclasses.dataclass(frozen=True)
class BenchRow:
    """One method on one classifier at one batch size.

    *A call* is one step on all images of a method that iterates, or else their whole explanation.

    Attributes:
        classifier, method, infill: by name; the infiller is empty where the method takes none.
        setting: the schedule of the method, where it is not its default.
        precision: that the classifier is evaluated in.
        images: per call.
        problem: why nothing was measured; empty where it was.
        forward, backward: pictures through the classifier per map, see `fidojax.bench.passes`.
        images_per_second: through `explain_batch`; of methods that iterate the first steps, and
            the others at the time of a step.
        evaluations_per_second: the same in pictures through the classifier.
        seconds: of a call.
        floor: seconds of the bare passes of a call; None where the classifier is not asked.
        ratio: seconds / floor.
        peak_share: floating point operations of a call per second, over those of a large matrix
            product in the same precision. Of loops inside the method the classifier's passes count.
        compile_cold, compile_cached: seconds to trace and compile the call, without and with JAX's
            persistent cache.
        program_mb: what the compiled call needs, by its own memory analysis.
        peak_mb: see `fidojax.bench.clocks`.
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
        row: with its names filled in.
        network: the classifier.
        size: "h w c" of its pictures.
        options: of the method.
        each: options that differ per image, for one image.
        passes: of the classifier per map.
        operations: of the classifier, see `fidojax.bench.floors.operations`.
    """

    row: BenchRow
    network: Classifier
    size: tuple[int, int, int]
    options: Mapping[str, Any]
    each: Mapping[str, Any]
    passes: Passes
    operations: tuple[float, float]


class How(NamedTuple):
    """How carefully it is measured.

    Attributes:
        steps: of the timed run through the engine, for methods that iterate.
        repeats: calls, and bare passes in turn with them, per round.
        rounds: the lowest median of so many counts.
        clock: a key of `fidojax.bench.clocks.CLOCKS`.
        spread: whether the devices share out evaluations, see `fidojax.engine.devices`.
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
    """A row's texts by column."""
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
    """At most so many digits that say something."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def terminal_table(rows: Sequence[BenchRow]) -> Table:
    """For a terminal."""
    table = Table(caption=EXPLAINED)
    left = {"classifier", "method", "infill", "precision", "note"}
    for name in cells(rows[0]):
        table.add_column(name, justify="left" if name in left else "right")
    for row in rows:
        table.add_row(*cells(row).values())
    return table


def markdown_table(rows: Sequence[BenchRow]) -> str:
    """To be pasted."""
    lines = [list(cells(rows[0])), *(list(cells(row).values()) for row in rows)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + f"\n{EXPLAINED}\n"
