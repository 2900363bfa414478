"""The rows as a table, for the terminal and to be pasted."""

from collections.abc import Sequence

from rich.table import Table

from fidojax.bench.row import Row

EXPLAINED = (
    "ratio: time over that of the classifier's bare passes; peak: operations per second over those "
    "of a large matrix product; MB: of the program by its own analysis / at most in use"
)


def cells(row: Row) -> dict[str, str]:
    """A row's texts by column."""
    both = (row.program_mb, row.peak_mb)
    return {
        "classifier": row.classifier,
        "method": row.method,
        "infill": row.infill,
        "dtype": row.precision,
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


def terminal_table(rows: Sequence[Row]) -> Table:
    """For a terminal."""
    table = Table(caption=EXPLAINED)
    left = {"classifier", "method", "infill", "dtype", "note"}
    for name in cells(rows[0]):
        table.add_column(name, justify="left" if name in left else "right")
    for row in rows:
        table.add_row(*cells(row).values())
    return table


def markdown_table(rows: Sequence[Row]) -> str:
    """To be pasted."""
    lines = [list(cells(rows[0])), *(list(cells(row).values()) for row in rows)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + f"\n{EXPLAINED}\n"
