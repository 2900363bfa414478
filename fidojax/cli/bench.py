"""`fidojax bench`: announce the rows, measure them, print the table."""

import dataclasses
import sys

from rich.console import Console

from fidojax.bench import BenchRow, Case, How, markdown_table, measure, terminal_table
from fidojax.cli.bench_plan import expected, plan
from fidojax.cli.interrupt import Interrupt
from fidojax.cli.options import Bench, UsageError
from fidojax.data import write_json
from fidojax.engine import cores, split_cpu
from fidojax.runs import about, duration


def bench(asked: Bench) -> int:
    """Carry the command out and return the exit code.

    Raises:
        UsageError: the command cannot be carried out as given.
    """
    if asked.spread:
        split_cpu(cores())
    cases = plan(asked)
    where = about({**dataclasses.asdict(asked), "json": None})
    rows: list[BenchRow] = []
    _write(asked.json, where, rows)
    print(_announcement(cases, where, expected(cases, asked)), flush=True)
    how = How(asked.steps, asked.repeats, asked.rounds, asked.clock, asked.spread)
    interrupted = False
    with Interrupt():
        try:
            for number, case in enumerate(cases, 1):
                rows.append(measure(case, how) if isinstance(case, Case) else case)
                print(f"{number}/{len(cases)} {_told(rows[-1])}", file=sys.stderr, flush=True)
                _write(asked.json, where, rows)
        except KeyboardInterrupt:
            interrupted = True
    _show(rows, asked.markdown)
    if interrupted:
        print(f"\nInterrupted after {len(rows)} of {len(cases)} rows.", file=sys.stderr)
        return 130
    return 1 if any(row.problem for row in rows) else 0


def _announcement(cases: list[Case | BenchRow], where: dict, seconds: float) -> str:
    """The rows to measure, the machine and the expected time, as one sentence."""
    rows = [case.row if isinstance(case, Case) else case for case in cases]
    names = [
        ", ".join(filter(None, dict.fromkeys(str(getattr(row, field)) for row in rows)))
        for field in ("classifier", "method", "infill", "precision", "images")
    ]
    versions = ", ".join(f"{name} {where['versions'][name]}" for name in ("fidojax", "jax"))
    *asked, images = (each for each in names if each)
    return (
        f"Measuring {len(rows)} {'row' if len(rows) == 1 else 'rows'} ({'; '.join(asked)}; "
        f"batches of {images}) on {where['device']}, {where['cores']} cores, {versions}; "
        f"about {duration(seconds)}"
    )


def _told(row: BenchRow) -> str:
    names = (row.classifier, row.method, row.infill, row.precision, f"{row.images} pictures")
    speed = f"{row.images_per_second:.3g} pictures/s" if row.images_per_second else ""
    ratio = f", ratio {row.ratio:.3f}" if row.ratio else ""
    return f"{', '.join(filter(None, names))}: {row.problem or speed + ratio}"


def _show(rows: list[BenchRow], markdown: bool) -> None:
    console = Console()
    if not rows:
        return
    print()
    if markdown or not console.is_terminal:
        print(markdown_table(rows), end="")
    else:
        console.print(terminal_table(rows))


def _write(file: str | None, where: dict, rows: list[BenchRow]) -> None:
    """Write the rows so far; called after every row, so that a kill loses only one."""
    if file is None:
        return
    result = {"about": where, "rows": [dataclasses.asdict(row) for row in rows]}
    try:
        write_json(file, result)
    except OSError as error:
        raise UsageError(f"--json {file}: {error.strerror or error}") from None
