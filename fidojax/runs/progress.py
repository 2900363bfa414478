"""Progress with the remaining time: a bar on a terminal, a line from time to time in a log."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fidojax.core import printable

LINE_EVERY = 15.0
"""Seconds between two lines where there is no terminal."""


class ProgressBar:
    """Shows how many pictures are done; a context manager.

    Args:
        console: the console to write to.
        total: the number of pictures.
        check: called at every update; may raise, for instance to interrupt the run.
        name: the name of the work.
        later: seconds of other work that follows, shown beside the remaining time.
    """

    def __init__(
        self,
        console: Console,
        total: int,
        check: Callable[[], None] = lambda: None,
        name: str = "explaining",
        later: float = 0.0,
    ) -> None:
        self._check, self._name, self._later = check, name, later
        self._console, self._total = console, total
        self._done, self._finished = 0.0, 0
        self._start = self._told = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]} pictures{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn(f"and about {duration(later)} for the rest" if later else ""),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=600,
        )
        self._task = self._bar.add_task(
            f"{name}, compiling", total=total, count=f"0/{total}", rate=""
        )

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, done: float, finished: int) -> None:
        """Update the bar; the work never goes back.

        Args:
            done: the number of pictures done, a fraction for those under way.
            finished: the number of pictures finished.
        """
        self._check()
        done = self._done = max(done, self._done)
        self._finished = finished
        now = time.monotonic()
        speed = rate(done / (now - self._start)) if done > 0 and now > self._start else ""
        self._bar.update(
            self._task,
            completed=done,
            description=self._name,
            count=f"{finished}/{self._total}",
            rate=f", {speed}",
        )
        if not self._console.is_terminal and now - self._told >= LINE_EVERY and done > 0:
            self._told = now
            left = (now - self._start) * (self._total - done) / done
            self.say(
                f"{self._name}: {done / self._total:.0%} of {self._total} pictures, {speed}, "
                f"{duration(left)} left"
                + (f" and about {duration(self._later)} for the rest" if self._later else "")
            )

    def skip(self) -> None:
        """Take one picture off the total: it was done before, or another process does it."""
        self._resize(-1)

    def extend(self) -> None:
        """Add one picture to the total."""
        self._resize(1)

    def _resize(self, by: int) -> None:
        self._check()
        self._total += by
        self._bar.update(self._task, total=self._total, count=f"{self._finished}/{self._total}")

    def say(self, line: str) -> None:
        """Print a line above the bar, see `printable`."""
        self._bar.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def rate(per_second: float) -> str:
    """A rate in words: pictures per second, or per minute where that is below 1."""
    if per_second >= 1:
        return f"{per_second:.1f} a second"
    return f"{60 * per_second:.1f} a minute"


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
