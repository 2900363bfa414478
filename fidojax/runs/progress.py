"""Progress with the remaining time: a bar on a terminal, a line from time to time in a log."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar as Bar
from rich.table import Table
from rich.text import Text

from fidojax.core import printable

LINE_EVERY = 15.0
"""Seconds between two lines where there is no terminal."""
SHORTEST, LONGEST = 5, 30
"""Columns of the bar; where fewer are left beside the numbers, there is none."""


class Pace:
    """The speed of the work, from reports of how much is done.

    The first group of pictures waits for compilation, so it does not count; where pictures are
    reported in fractions, as their steps go on, only the first report does not.

    Args:
        group: the number of pictures that are explained at the same time.
    """

    def __init__(self, group: int = 1) -> None:
        self._group = group
        self._first: tuple[float, float] | None = None
        self._last = 0.0, 0.0

    def report(self, now: float, done: float) -> None:
        """Take note of a number of pictures, a fraction for those under way, at a time."""
        if done <= 0:
            return
        whole = done == int(done) <= self._group
        if self._first is None or (whole and self._first[1] == int(self._first[1])):
            self._first = now, done
        self._last = now, done

    @property
    def per_second(self) -> float | None:
        """Pictures per second; None as long as it is not known."""
        if self._first is None:
            return None
        (start, before), (end, done) = self._first, self._last
        return (done - before) / (end - start) if done > before and end > start else None


class ProgressBar:
    """Shows how many pictures are done; a context manager.

    Args:
        console: the console to write to.
        total: the number of pictures.
        check: called at every update; may raise, for instance to interrupt the run.
        name: the name of the work.
        later: seconds of other work that follows, shown beside the remaining time.
        group: the number of pictures that are explained at the same time.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        console: Console,
        total: int,
        check: Callable[[], None] = lambda: None,
        name: str = "explaining",
        later: float = 0.0,
        group: int = 1,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check, self._name, self._later = check, printable(name), later
        self._console, self._total, self._now = console, total, now
        self._done, self._finished = 0.0, 0
        self._pace = Pace(group)
        self._start = self._told = now()
        self._live = Live(get_renderable=self.bar, console=console, transient=True)

    def __enter__(self) -> "ProgressBar":
        self._start = self._told = self._now()
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, done: float, finished: int) -> None:
        """Update the bar; the work never goes back.

        Args:
            done: the number of pictures done, a fraction for those under way.
            finished: the number of pictures finished.
        """
        self._check()
        self._done, self._finished = max(done, self._done), finished
        now = self._now()
        self._pace.report(now, self._done)
        late = now - self._told >= LINE_EVERY
        if not self._console.is_terminal and late and finished < self._total:
            self._told = now
            self.say(f"{self._name}: {self.text()}")

    @property
    def left(self) -> int:
        """The number of pictures that are not finished, as far as is known."""
        return self._total - self._finished

    def skip(self) -> None:
        """Take one picture off the total: it was done before, or another process does it."""
        self._resize(-1)

    def extend(self) -> None:
        """Add one picture to the total."""
        self._resize(1)

    def _resize(self, by: int) -> None:
        self._check()
        self._total += by

    def say(self, line: str) -> None:
        """Print a line above the bar, see `printable`."""
        self._console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def text(self) -> str:
        """The numbers beside the bar: 4/13 · 6.5/min · elapsed 0:35 · left 1:20."""
        now, speed = self._now(), self._pace.per_second
        parts = [f"{self._finished}/{self._total}"]
        parts += ["compiling"] if not self._done else [rate(speed)] if speed else []
        parts.append(f"elapsed {clock(now - self._start)}")
        if self._finished < self._total <= self._done:
            parts.append("finishing")  # regions, figures and files
        elif speed:
            parts.append(f"left {clock((self._total - self._done) / speed)}")
        if self._later:
            parts.append(f"then about {duration(self._later)}")
        return " · ".join(parts)

    def bar(self) -> Table:
        """The line on the terminal, with as much of a bar as fits beside the numbers."""
        text, line = self.text(), Table.grid(padding=(0, 1))
        room = self._console.width - cell_len(self._name) - cell_len(text) - 2
        # A picture whose last steps are under way is not finished.
        most = self._total if self._finished == self._total else 0.99 * self._total
        bar = Bar(max(self._total, 1), min(self._done, most), width=min(room, LONGEST))
        cells = [Text(self._name), *([bar] if room >= SHORTEST else []), Text(text)]
        for _ in cells:
            line.add_column(no_wrap=True)
        line.add_row(*cells)
        return line


def rate(per_second: float) -> str:
    """A rate in words: pictures per second, or per minute where that is below 1."""
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{60 * per_second:.1f}/min"


def clock(seconds: float) -> str:
    """A time as a clock shows it: 0:35, 12:05, 1:02:05."""
    whole = round(max(seconds, 0.0))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """A time in words: 8.0 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
