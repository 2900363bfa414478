"""Maps in colours: the scale is the one that is said, and the picture stays where nothing is."""

import matplotlib
import numpy as np
import pytest

from fidojax.viz import DIVERGING, SEQUENTIAL, normalise, overlay

RAMP = np.linspace(-1, 3, 64, dtype=np.float32).reshape(8, 8)


def image(channels: int = 3, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).random((side, side, channels), np.float32)


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


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="smaller one first"):
        normalise(RAMP, (1.0, 0.0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("value", "symmetric", "weight", "colours", "at"),
    [
        (0.0, False, 0.0, SEQUENTIAL, 0.0),
        (0.5, False, 0.5, SEQUENTIAL, 0.5),
        (1.0, False, 1.0, SEQUENTIAL, 1.0),
        (7.0, False, 1.0, SEQUENTIAL, 1.0),
        (0.0, True, 0.0, DIVERGING, 0.5),
        (1.0, True, 1.0, DIVERGING, 1.0),
        (-1.0, True, 1.0, DIVERGING, 0.0),
        (-0.5, True, 0.5, DIVERGING, 0.25),
    ],
)
def test_the_overlay_is_as_opaque_as_the_pixel_is_important(
    channels, value, symmetric, weight, colours, at
):
    """Without importance the photo in its own colours, dimmed; the full share of colour above."""
    picture, saliency = image(channels), np.full((8, 8), value, np.float32)
    ends = (-1.0, 1.0) if symmetric else (0.0, 1.0)
    out = overlay(
        picture, saliency, limits=ends, symmetric=symmetric, opacity=0.6, brightness=0.8
    )  # fmt: skip
    assert (out.shape, out.dtype) == ((8, 8, 3), np.float32)
    colour = np.array(matplotlib.colormaps[colours](at)[:3])
    photo = (0.8 + 0.2 * weight) * picture
    np.testing.assert_allclose(out, (1 - 0.6 * weight) * photo + 0.6 * weight * colour, atol=3e-3)


def test_at_full_brightness_an_empty_map_leaves_the_photo_as_it_is():
    out = overlay(image(), np.zeros((8, 8), np.float32), limits=(0, 1), brightness=1.0)
    np.testing.assert_array_equal(out, image())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"opacity": 1.5}, r"opacity is 1.5, expected a number in \[0, 1\]"),
        ({"brightness": -0.1}, r"brightness is -0.1, expected a number in \[0, 1\]"),
    ],
)
def test_shares_outside_of_0_and_1_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        overlay(image(), RAMP, **options)


def test_the_overlay_needs_equal_sizes():
    with pytest.raises(ValueError, match=r"shape \(8, 8\), expected the image's \(4, 4\)"):
        overlay(image(side=4), RAMP)
