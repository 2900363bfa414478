"""Texts that fit: the width is the one that is drawn."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fidojax.viz.labels import fitted

CASES = [
    ("cat.jpg", 150, 1, ("cat.jpg",)),
    ("one two three four five", 60, 2, None),
    ("16.2 % of the picture\nblack swan 93.1 %", 150, 2, None),
    ("folder/" * 20 + "IMG_0001.jpg", 150, 1, None),
    ("why American Staffordshire terrier (12.0 %)?", 150, 2, None),
    ("unbreakable" * 9, 150, 2, None),
    ("猫" * 60 + ".jpg", 150, 1, None),
    ("a $100 cat_$x^2$.png", 150, 1, ("a $100 cat_$x^2$.png",)),
    ("", 150, 2, ("",)),
]


@pytest.mark.parametrize(("text", "width", "lines", "expected"), CASES)
@pytest.mark.parametrize("bold", [False, True])
def test_every_line_is_drawn_within_the_width(text, width, lines, expected, bold):
    label = fitted(text, width, 10, bold=bold, lines=lines)
    assert len(label.lines) <= lines
    assert expected in (None, label.lines)
    drawing = Figure(dpi=120)
    canvas = FigureCanvasAgg(drawing)
    for line in label.lines:
        drawn = drawing.text(
            0, 0.5, line, size=label.size, weight=label.weight, family=list(label.families),
            parse_math=False,
        )  # fmt: skip
        assert drawn.get_window_extent(canvas.get_renderer()).width * 72 / 120 <= width


@pytest.mark.parametrize(
    ("text", "width", "lines", "expected"),
    [
        ("black swan, then a koala", 60, 2, ("black swan,", "then a koala")),
        ("16.2 % of it\nkoala", 200, 2, ("16.2\u00a0% of it", "koala")),
    ],
)
def test_lines_break_between_words_and_never_before_a_percent_sign(text, width, lines, expected):
    assert fitted(text, width, 9, lines=lines).lines == expected


def test_a_name_that_is_too_long_keeps_its_end():
    label = fitted("folder/" * 20 + "IMG_20230514_0001.jpg", 160, 10)
    assert label.lines[0].startswith("folder/")
    assert label.lines[0].endswith("0514_0001.jpg")
    assert label.lines[0].count("…") == 1


def test_a_text_is_set_smaller_before_it_is_shortened():
    text = "0100_n01860187_black_swan.jpg"
    assert [fitted(text, width, 10).size for width in (250, 150)] == [10, 8]
    assert fitted(text, 150, 10).lines == (text,)
