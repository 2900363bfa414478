"""One call from explanations to a figure: the panels are the arrays of the explanation."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import fidojax
from fidojax.core import Region
from fidojax.types import Explanation

IMAGES = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
MAPS: Any = np.linspace(0, 1, 128, dtype=np.float32).reshape(2, 8, 8)
MASKS = (MAPS > 0.25).astype(np.float32)


class Info(NamedTuple):
    region: Any = None
    standard_deviation: Any = None


def region(area):
    """Of both pictures, by two fills; the classifier holds on the first one alone."""
    p = np.broadcast_to(np.array([[0.7, 0.8], [0.75, 0.9]], np.float32), (2, 2, 2))
    one = np.ones(2, np.float32)
    found: Any = (MASKS, one, np.asarray(area, np.float32), p, p, one)
    return Region(*found)


def panels(figure):
    """Title, caption and picture of every panel."""
    found = {}
    for axis in figure.axes:
        if axis.images:
            title, caption = (text.get_text() for text in axis.texts)
            found.setdefault(title, []).append((caption, np.asarray(axis.images[0].get_array())))
    return found


def test_the_region_stands_on_gray_with_its_share_and_its_probability():
    explanation = Explanation(MAPS, Info(region=region(np.array([0.375, np.nan]))))
    figure = fidojax.viz.show(
        explanation, IMAGES, names=["cat", "dog"], method="fido", options={"objective": "sdr"}
    )
    found = panels(figure)
    assert [*found] == ["cat", "saliency map", "map over image", "its region alone", "dog"]
    np.testing.assert_array_equal(found["dog"][0][1], IMAGES[1])
    assert [caption for caption, _ in found["saliency map"]] == ["drop probability"] * 2
    ((caption, alone),) = found["its region alone"]
    assert caption == "38% of the picture\nprobability 70% to 90%"
    np.testing.assert_array_equal(alone[MASKS[0] == 1], IMAGES[0][MASKS[0] == 1])
    assert (alone[MASKS[0] == 0] == 0.5).all()
    said = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert said.count("No region of this map carries the class.") == 1
    # Values of a mask in [0, 1] have the same colours in both rows.
    limits = [a.images[0].get_clim() for a in figure.axes if a.texts[:1] and a.images]
    assert limits.count((0.0, 1.0)) >= 2


def test_one_picture_has_one_row_with_its_deviation():
    figure = fidojax.viz.show(
        Explanation(MAPS[0] - 0.1, Info(standard_deviation=MAPS[1])), IMAGES[0]
    )
    found = panels(figure)
    assert [*found] == ["image 0", "saliency map", "standard deviation", "map over image"]
    assert figure.axes[1].images[0].cmap.name == "RdBu_r"  # the map has two signs


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": IMAGES[0]}, r"images have shape \(8, 8, 3\), expected \(2, 8, 8, c\)"),
        ({"images": IMAGES[:, :4]}, r"since the maps have shape \(2, 8, 8\)"),
        ({"names": ["cat"]}, "names are 1, expected one for each of 2 images"),
        ({"method": "fidoo"}, "there is no 'fidoo'; did you mean fido?"),
    ],
)
def test_what_does_not_fit_is_said(changed, message):
    given = {"explanation": Explanation(MAPS, Info()), "images": IMAGES} | changed
    with pytest.raises(ValueError, match=message):
        fidojax.viz.show(**given)
