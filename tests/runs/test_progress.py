"""The bar and the lines of a run: what they say, when they know how long it takes, how wide."""

import io

import pytest
from rich.console import Console

from fidojax.runs.progress import Pace, ProgressBar, clock, rate


@pytest.mark.parametrize(
    ("group", "reports", "speed"),
    [
        (2, [], None),
        (2, [(20, 2)], None),  # the first group came with its compilation
        (2, [(20, 1), (20.5, 2)], None),  # concurrent calls end one after another
        (2, [(20, 1), (20.5, 2), (30.5, 4)], 0.2),
        (1, [(20, 1), (21, 2), (22, 3)], 1.0),
        (8, [(0, 0), (20, 0.5)], None),  # steps that were started after compiling
        (8, [(20, 0.5), (30, 1.0), (40, 2.5)], 0.1),
        (2, [(20, 2), (20, 3)], None),
    ],
)
def test_the_speed_is_known_from_the_second_group_on(group, reports, speed):
    pace = Pace(group)
    for now, done in reports:
        pace.report(now, done)
    assert pace.per_second == (None if speed is None else pytest.approx(speed))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (35.4, "0:35"), (80, "1:20"), (725, "12:05"), (3725, "1:02:05"), (-1, "0:00")],
)
def test_a_time_as_a_clock_shows_it(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(("speed", "text"), [(6.5 / 60, "6.5/min"), (2, "2.0/s")])
def test_a_rate_is_per_second_or_minute(speed, text):
    assert rate(speed) == text


class Shown:
    """A bar on a terminal of some columns, with a clock that the test moves."""

    def __init__(self, columns: int, terminal: bool = True, **options) -> None:
        self.time, self.out = 0.0, io.StringIO()
        self.console = Console(file=self.out, width=columns, force_terminal=terminal)
        self.meter = ProgressBar(self.console, 13, now=lambda: self.time, **options)

    def at(self, time: float, done: float, finished: int) -> "Shown":
        self.time = time
        self.meter.show(done, finished)
        return self


WHOLE = "4/13 · 6.0/min · elapsed 0:35 · left 1:30"


def drawn(shown: Shown, columns: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    with console.capture() as captured:
        console.print(shown.meter.bar())
    return captured.get().splitlines()


@pytest.mark.parametrize(("columns", "bar"), [(120, 30), (80, 27), (60, 7), (57, 0)])
def test_the_line_is_whole_at_any_width(columns, bar):
    (line,) = drawn(Shown(columns, group=2).at(15, 2, 2).at(35, 4, 4), columns)
    assert line.startswith("explaining ")
    assert line.endswith(f" {WHOLE}")
    assert len(line) == len("explaining ") + (bar and bar + 1) + len(WHOLE)


@pytest.mark.parametrize(
    ("time", "done", "finished", "said"),
    [
        (5, 0, 0, "0/13 · compiling · elapsed 0:05"),
        (15, 13, 0, "0/13 · elapsed 0:15 · finishing"),
        (15, 2, 2, "2/13 · elapsed 0:15"),
    ],
)
def test_nothing_is_foretold_before_a_second_group(time, done, finished, said):
    shown = Shown(80, group=2).at(time, done, finished)
    assert shown.meter.text() == said


def test_the_bar_is_not_full_as_long_as_pictures_are_missing():
    def bars(shown):
        return drawn(shown)[0].count("━")

    under_way, finished = Shown(80).at(9, 13, 0), Shown(80).at(9, 13, 13)
    assert bars(under_way) < bars(finished) == 30


def test_pictures_that_were_done_before_are_taken_off_the_total():
    shown = Shown(80)
    for _ in range(4):
        shown.meter.skip()
    shown.meter.extend()
    assert shown.at(3, 1, 1).meter.text() == "1/10 · elapsed 0:03"


def test_the_time_counts_from_the_start_of_the_work():
    shown = Shown(80)
    shown.time = 60.0  # other work came first
    with shown.meter:
        assert shown.at(65, 0, 0).meter.text() == "0/13 · compiling · elapsed 0:05"


def test_a_log_has_a_line_from_time_to_time():
    shown = Shown(80, terminal=False, name="fido (1 of 2)", later=200.0)
    for time in range(0, 60, 5):
        shown.at(time, time / 5, time // 5)
    shown.at(61, 13, 13)
    assert shown.out.getvalue().splitlines() == [
        "fido (1 of 2): 3/13 · 12.0/min · elapsed 0:15 · left 0:50 · then about 3 min 20 s",
        "fido (1 of 2): 6/13 · 12.0/min · elapsed 0:30 · left 0:35 · then about 3 min 20 s",
        "fido (1 of 2): 9/13 · 12.0/min · elapsed 0:45 · left 0:20 · then about 3 min 20 s",
    ]
