"""Names in any script are drawn, or written as codes; never as empty boxes."""

import io

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.ttLib.tables._g_l_y_f import Glyph
from matplotlib import font_manager

from fidojax.viz import Exhibit, figure
from fidojax.viz.fonts import drawable


@pytest.fixture
def cats_alone(tmp_path, monkeypatch):
    """An installed font whose only character is 猫, and a file that is no font."""
    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", "cat"])
    font.setupCharacterMap({ord("猫"): "cat"})
    font.setupGlyf({".notdef": Glyph(), "cat": Glyph()})
    font.setupHorizontalMetrics({".notdef": (500, 0), "cat": (500, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Cats Alone", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path / "cats.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    manager = font_manager.fontManager
    broken = font_manager.FontEntry(fname=str(tmp_path / "broken.ttf"), name="Broken")
    monkeypatch.setattr(manager, "ttflist", [broken, *manager.ttflist])
    manager.addfont(tmp_path / "cats.ttf")


@pytest.mark.parametrize(
    ("text", "drawn", "more"),
    [
        ("fox é ж.png", "fox é ж.png", []),
        ("猫.png", "猫.png", ["Cats Alone"]),
        ("猫と犬.png", r"猫\u3068\u72ac.png", ["Cats Alone"]),
        ("犬.png", r"\u72ac.png", []),
    ],
)
def test_a_text_comes_with_the_fonts_that_have_its_characters(cats_alone, text, drawn, more):
    found, families = drawable(text)
    assert found == drawn
    assert [name for name in families if name == "Cats Alone"] == more


def test_a_figure_of_a_chinese_name_has_no_empty_boxes(cats_alone):
    """Matplotlib warns of each glyph that it lacks, and here warnings are errors."""
    exhibit = Exhibit(np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.float32), "猫と犬.png")
    drawing = figure(exhibit)
    drawing.savefig(io.BytesIO(), format="png", dpi=20)
    assert r"猫\u3068\u72ac.png" in [text.get_text() for text in drawing.axes[0].texts]
