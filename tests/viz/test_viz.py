"""Figures: what is drawn is what was given, and nothing is drawn that is not a map."""

import io
import itertools

import matplotlib
import matplotlib.image
import numpy as np
import pytest

from fidojax.viz.figures import Exhibit, figure, gallery, normalise, overlay, samples

RAMP = np.linspace(-1, 3, 64, dtype=np.float32).reshape(8, 8)


def image(channels: int = 3, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).random((side, side, channels), np.float32)


def pixels(drawn) -> np.ndarray:
    file = io.BytesIO()
    drawn.savefig(file, dpi=50, format="png")
    file.seek(0)
    return matplotlib.image.imread(file)


def test_limits_fix_the_scale_and_clip():
    values, limits = normalise(RAMP, (0.0, 2.0))
    assert limits == (0.0, 2.0)
    np.testing.assert_allclose(values, np.clip(RAMP / 2, 0, 1), atol=1e-6)


def test_without_limits_percentiles_are_the_ends():
    spiked = RAMP.copy()
    spiked[0, 0] = 1e6
    values, (low, high) = normalise(spiked[:, 1:])
    assert low == pytest.approx(np.percentile(spiked[:, 1:], 1))
    assert high == pytest.approx(np.percentile(spiked[:, 1:], 99))
    values, (low, high) = normalise(np.tile(spiked, (4, 4)))  # the spike is 1 in 64, above 1 %
    assert high > 1e5
    values, (low, high) = normalise(np.tile(RAMP, (4, 4)) + 0 * spiked.sum())
    assert (values.min(), values.max()) == (0, 1)


def test_symmetric_maps_put_zero_in_the_middle():
    values, (low, high) = normalise(RAMP, symmetric=True)
    assert low == -high
    at_zero = np.interp(0, RAMP.ravel(), values.ravel())
    assert at_zero == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(("symmetric", "middle"), [(False, 0.0), (True, 0.5)])
def test_constant_maps_do_not_divide_by_zero(symmetric, middle):
    values, _ = normalise(np.zeros((4, 4), np.float32), symmetric=symmetric)
    np.testing.assert_array_equal(values, middle)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_maps_that_are_not_finite_are_refused(bad):
    saliency = RAMP.copy()
    saliency[3, 3] = bad
    with pytest.raises(ValueError, match="not finite"):
        normalise(saliency)
    with pytest.raises(ValueError, match="not finite"):
        figure(Exhibit(image(), saliency))


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="smaller one first"):
        normalise(RAMP, (1.0, 0.0))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_overlay_mixes_grey_and_colours(channels):
    picture, saliency = image(channels), np.zeros((8, 8), np.float32)
    saliency[2, 2] = 1
    out = overlay(picture, saliency, limits=(0, 1), opacity=0.5)
    assert out.shape == (8, 8, 3)
    assert out.dtype == np.float32
    brightest = np.array(matplotlib.colormaps["plasma"](1.0)[:3])
    np.testing.assert_allclose(out[2, 2], (picture[2, 2].mean() + brightest) / 2, atol=1e-6)
    untouched = overlay(picture, saliency, limits=(0, 1), opacity=0.0)
    np.testing.assert_allclose(untouched[..., 0], picture.mean(axis=2), atol=1e-6)


def test_the_overlay_needs_equal_sizes():
    with pytest.raises(ValueError, match=r"shape \(8, 8\), expected the image's \(4, 4\)"):
        overlay(image(side=4), RAMP)


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


def test_long_names_are_shortened_in_the_middle():
    drawn = figure(Exhibit(image(), RAMP, title="folder/" * 20 + "cat.jpg"))
    title = drawn.axes[0].texts[0].get_text()
    assert len(title) < 50
    assert title.endswith("cat.jpg")


def test_a_gallery_has_a_row_for_each_explanation():
    exhibits = [Exhibit(image(3, 8), RAMP), Exhibit(image(1, 8), RAMP, mixture=image(1, 8))]
    assert len(gallery(exhibits).axes) == 4 + 5
    one, two = (gallery(exhibits[:n]).get_size_inches() for n in (1, 2))
    assert one[0] == two[0]
    assert two[1] > 1.5 * one[1]
    with pytest.raises(ValueError, match="at least one"):
        gallery([])
