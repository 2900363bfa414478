"""Tables and progress bars on the terminal, and quartiles of samples as text."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


class Bars(Progress):
    """Progress with time left, fed by the `progress` callbacks of `fidojax.explain_batch`."""

    def task(self, name: str, *, keep: bool = True) -> Callable[[int, int], None]:
        """Add a bar and return its callback (done, total); it vanishes at the end unless `keep`."""
        task = self.add_task(name, total=None)

        def tell(done: int, total: int) -> None:
            self.update(task, completed=done, total=total, visible=keep or done < total)

        return tell


def progress_bars(console: Console) -> Bars:
    """Progress bars with share, time passed and time left."""
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


class Box(NamedTuple):
    """Median and quartiles of one number per picture."""

    median: float
    q1: float
    q3: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Box":
        """The box of a sample, quartiles by linear interpolation; NaN where a value is NaN."""
        q1, median, q3 = np.quantile(np.asarray(values, np.float64), (0.25, 0.5, 0.75))
        return cls(float(median), float(q1), float(q3))

    def text(self, digits: int = 1) -> str:
        """Median (first–third quartile)."""
        median, q1, q3 = (f"{value:.{digits}f}" for value in self)
        return f"{median} ({q1}–{q3})"  # noqa: RUF001


def quartile_table(
    samples: Mapping[str, Mapping[str, np.ndarray]], digits: int = 3
) -> list[dict[str, str]]:
    """A line for each row: median (quartiles) of each number that the row has.

    Args:
        samples: by number and row, one value per picture, NaN where there is none.
    """
    rows = dict.fromkeys(row for of in samples.values() for row in of)
    lines = []
    for row in rows:
        known = {key: of[row][np.isfinite(of[row])] for key, of in samples.items() if row in of}
        boxes = {key: Box.of(own).text(digits) for key, own in known.items() if len(own)}
        if boxes:
            lines.append({"row": row} | {key: boxes.get(key, "") for key in samples})
    return lines


def terminal_table(rows: Sequence[Mapping[str, str]], title: str = "") -> Table:
    """A table of rows of text under their common keys; only the first column stands left."""
    table = Table(title=title)
    for i, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if i else "left", no_wrap=not i)
    for row in rows:
        table.add_row(*row.values())
    return table


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """The same rows as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
