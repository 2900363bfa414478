"""A sheet shows every explanation once, in order, with its number and its region's outline."""

import numpy as np
import pytest

from fidojax.viz import Exhibit, View, sheet

RAMP = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)


def exhibit(title: str, region: bool = False, tall: int = 8) -> Exhibit:
    image = np.full((tall, 8, 3), 0.5, np.float32)
    mask = (RAMP > 0.5).astype(np.float32)[:tall]
    views = (View(image, "region", region=mask),) if region else ()
    return Exhibit(image, RAMP[:tall], title, verdict=f"{title} holds", views=views)


def test_a_sheet_has_a_panel_for_each_explanation_row_by_row():
    plain = View(np.full((8, 8, 3), 0.25, np.float32), "d", "d holds")
    panels = [exhibit("a"), exhibit("b", region=True), exhibit("c", tall=4), plain]
    drawn = sheet(panels, columns=2)
    words = [[text.get_text() for text in axis.texts] for axis in drawn.axes]
    assert words == [["a", "a holds"], ["b", "b holds"], ["c", "c holds"], ["d", "d holds"]]
    assert [len(axis.collections) for axis in drawn.axes] == [0, 1, 0, 0]
    places = [axis.get_position() for axis in drawn.axes]
    assert places[0].y0 == pytest.approx(places[1].y0)
    assert places[0].x1 < places[1].x0
    assert places[2].x0 == pytest.approx(places[0].x0)
    assert places[2].y1 < places[0].y0
    assert places[2].y0 > 0
    assert places[2].height == pytest.approx(places[0].height / 2)
    np.testing.assert_array_equal(drawn.axes[3].images[0].get_array(), plain.image)


@pytest.mark.parametrize(
    ("exhibits", "columns", "sentence"),
    [([], 4, "panels is empty"), ([exhibit("a")], 0, "columns is 0, expected at least 1")],
)
def test_a_sheet_of_nothing_is_refused(exhibits, columns, sentence):
    with pytest.raises(ValueError, match=sentence):
        sheet(exhibits, columns=columns)
