"""Figures: what is drawn is what was given, and nothing is drawn that is not a map."""

import io
import itertools

import matplotlib.image
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from fidojax.viz import Exhibit, View, figure, gallery, normalise, samples
from fidojax.viz.outline import OUTLINES

RAMP = np.linspace(-1, 3, 64, dtype=np.float32).reshape(8, 8)


def image(channels: int = 3, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).random((side, side, channels), np.float32)


def pixels(drawn) -> np.ndarray:
    file = io.BytesIO()
    drawn.savefig(file, dpi=50, format="png")
    file.seek(0)
    return matplotlib.image.imread(file)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_maps_that_are_not_finite_are_refused(bad):
    saliency = RAMP.copy()
    saliency[3, 3] = bad
    with pytest.raises(ValueError, match="not finite"):
        normalise(saliency)
    with pytest.raises(ValueError, match="not finite"):
        figure(Exhibit(image(), saliency))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("with_mixture", [True, False])
def test_a_figure_has_a_panel_for_each_part(channels, with_mixture):
    mixture = image(channels) if with_mixture else None
    drawn = figure(
        Exhibit(
            image(channels), RAMP, title="a $100 cat.jpg", prediction="cat 90.0 %",
            meaning="keep probability", mixture=mixture, limits=(0.0, 1.0),
        )
    )  # fmt: skip
    assert len(drawn.axes) == 4 + with_mixture  # image, map, colour bar, overlay, mixture
    shown = [np.asarray(axis.images[0].get_array()) for axis in drawn.axes if axis.images]
    np.testing.assert_allclose(np.squeeze(shown[0]), np.squeeze(image(channels)))
    np.testing.assert_allclose(shown[1], np.clip(RAMP, 0, 1), atol=1e-6)
    words = [text.get_text() for axis in drawn.axes for text in axis.texts]
    assert "keep probability" in words
    assert pixels(drawn).std() > 0.1


def test_the_deviation_stands_beside_the_map_with_a_scale_of_its_own():
    spread = np.linspace(2, 5, 64, dtype=np.float32).reshape(8, 8)
    exhibits = [Exhibit(image(), RAMP, deviation=spread, mixture=image()), Exhibit(image(), RAMP)]
    drawn = gallery(exhibits)
    assert len(drawn.axes) == 7 + 4
    panels = [axis for axis in drawn.axes if axis.images]
    shown = np.asarray(panels[2].images[0].get_array())
    low, high = np.percentile(spread, (1, 99))
    np.testing.assert_allclose(shown, np.clip(spread, low, high), rtol=1e-5)
    assert panels[2].images[0].get_clim() == pytest.approx((low, high))
    assert "standard deviation" in [text.get_text() for text in panels[2].texts]
    boxes = [axis.get_position() for axis in drawn.axes[:7]]
    edges = sorted((box.x0, box.x1) for box in boxes)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(edges))
    assert edges[-1][1] <= 1


def test_samples_share_the_colours_of_their_mean():
    drawn = samples(RAMP, np.stack([RAMP + 1, RAMP - 1]), across=2)
    maps = [np.asarray(axis.images[0].get_array()) for axis in drawn.axes]
    assert [axis.get_title() for axis in drawn.axes] == ["mean", "sample 1", "sample 2"]
    assert maps[2].mean() < maps[0].mean() < maps[1].mean()
    assert drawn.axes[2].get_position().y1 < drawn.axes[0].get_position().y0


def test_a_gallery_has_a_row_for_each_explanation():
    exhibits = [Exhibit(image(3, 8), RAMP), Exhibit(image(1, 8), RAMP, mixture=image(1, 8))]
    assert len(gallery(exhibits).axes) == 4 + 5
    one, two = (gallery(exhibits[:n]).get_size_inches() for n in (1, 2))
    assert one[0] == two[0]
    assert two[1] > 1.5 * one[1]
    with pytest.raises(ValueError, match="at least one"):
        gallery([])


LONG = "folder/" * 20 + "IMG_20230514_0001.jpg"
CLASS = "American Staffordshire terrier"
SENTENCE = "No region of the map holds: " + "the class has too little of its probability, " * 9
REGION = np.pad(np.ones((3, 3), np.float32), ((1, 4), (2, 3)))


def views(count: int) -> tuple[View, ...]:
    regions = [np.roll(REGION, shift, axis=1) for shift in range(count)]
    return tuple(
        View(image(), f"region {number}", f"16.2 % of the picture\n{CLASS} 93.1 %", region)
        for number, region in enumerate(regions)
    )


@pytest.mark.parametrize(
    "exhibits",
    [
        [Exhibit(image(), RAMP, title="cat.jpg", prediction="cat")],
        [Exhibit(image(), RAMP, title=LONG, prediction=f"prediction: {CLASS} (90.1 %)")],
        [Exhibit(image(), RAMP, title=LONG, views=views(2), target=f"why {CLASS} (12 %)?")],
        [
            Exhibit(image(), RAMP, warning=SENTENCE, mixture=image(), verdict=CLASS),
            Exhibit(image(), RAMP, title=LONG, deviation=RAMP, views=views(4), warning="No."),
        ],
    ],
)
@pytest.mark.parametrize("draw", [lambda e: figure(e[0]), gallery])
def test_texts_neither_meet_nor_are_cut_off(exhibits, draw):
    drawing = draw(exhibits)
    renderer = FigureCanvasAgg(drawing).get_renderer()
    words = [text for axis in drawing.axes for text in axis.texts if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in words]
    boxes += [axis.get_window_extent(renderer) for axis in drawing.axes if axis.images]
    whole = drawing.bbox
    assert all(whole.x0 <= b.x0 and b.x1 <= whole.x1 for b in boxes)
    assert all(whole.y0 <= b.y0 and b.y1 <= whole.y1 for b in boxes)
    for one, other in itertools.combinations(boxes, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        up = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert across <= 1 or up <= 1


def test_a_view_is_a_panel_and_its_region_an_outline_on_the_map():
    without = View(image(), "the picture without it")
    drawn = figure(Exhibit(image(), RAMP, views=(views(1)[0], without)))
    panels = [axis for axis in drawn.axes if axis.images]
    assert [panel.texts[0].get_text() for panel in panels[3:]] == [
        "region 0", "the picture without it",
    ]  # fmt: skip
    (outline,) = panels[2].collections
    points = np.concatenate([path.vertices for path in outline.get_paths()])
    np.testing.assert_allclose(points.min(axis=0), (1.5, 0.5))  # x, y, between pixels
    np.testing.assert_allclose(points.max(axis=0), (4.5, 3.5))
    assert not any(panel.patches for panel in panels[3:])  # one outline needs no frame


def test_the_panels_of_several_regions_are_framed_in_the_colours_of_their_outlines():
    drawn = figure(Exhibit(image(), RAMP, views=views(3)))
    panels = [axis for axis in drawn.axes if axis.images]
    outlines = [
        to_hex(np.ravel(outline.get_edgecolor())[:3].tolist()) for outline in panels[2].collections
    ]
    frames = [
        to_hex(np.ravel(panel.patches[0].get_edgecolor())[:3].tolist()) for panel in panels[3:]
    ]
    assert outlines == frames == list(OUTLINES[:3])


@pytest.mark.parametrize("region", [np.zeros_like(REGION), np.ones_like(REGION)])
def test_a_region_without_a_boundary_has_no_outline(region):
    drawn = figure(Exhibit(image(), RAMP, views=(View(image(), "all", "", region),)))
    assert not [axis for axis in drawn.axes if axis.images][2].collections


def test_scattered_pixels_are_not_outlined():
    dots = np.zeros((64, 64), np.float32)
    dots[::3, ::3] = 1
    maps = image(side=64), np.arange(64.0 * 64).reshape(64, 64).astype(np.float32)
    drawn = figure(Exhibit(*maps, views=(View(maps[0], "dots", "", dots),)))
    assert not [axis for axis in drawn.axes if axis.images][2].collections


def test_a_warning_stands_below_the_panels_in_words():
    drawn = figure(Exhibit(image(), RAMP, warning="The map is empty."))
    assert drawn.axes[-1].texts[0].get_text() == "The map is empty."
    assert drawn.axes[-1].get_position().y1 < drawn.axes[0].get_position().y0
    assert pixels(drawn).std() > 0.1


def test_a_figure_is_as_wide_as_its_panels_and_these_are_of_one_size():
    few, many = figure(Exhibit(image(), RAMP)), figure(Exhibit(image(), RAMP, views=views(2)))
    sides = [f.axes[0].get_position().width * f.get_size_inches()[0] for f in (few, many)]
    assert sides[0] == pytest.approx(sides[1])
