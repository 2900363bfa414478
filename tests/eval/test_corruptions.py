"""Brightness and motion blur against their definitions in ImageNet-C."""

import colorsys

import numpy as np
import pytest

from eval.protocols.varsal.corruptions import (
    BRIGHTNESS,
    CORRUPTIONS,
    MOTION,
    brighter,
    corrupted,
    motion_blur,
)


def pictures(count=2, channels=3, size=16):
    rng = np.random.default_rng(0)
    return rng.random((count, size, size, channels)).astype(np.float32)


@pytest.mark.parametrize("amount", [BRIGHTNESS[0], BRIGHTNESS[-1]])
def test_brightness_moves_the_value_alone(amount):
    image = pictures()[0]
    bright = brighter(image, amount)
    for before, after in zip(image.reshape(-1, 3), bright.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before.tolist())
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + amount, 1))
        np.testing.assert_allclose(after, expected, atol=1e-5)


def test_brightness_of_grey_pictures():
    image = pictures(channels=1)[0]
    np.testing.assert_allclose(brighter(image, 0.3), np.minimum(image + 0.3, 1), atol=1e-6)


def test_motion_blur_of_a_point_is_half_a_gaussian_along_the_line():
    image = np.zeros((31, 31, 1))
    image[15, 15] = 1
    across = motion_blur(image, 5, 2.0, 0.0)[..., 0]
    weights = np.exp(-(np.arange(11) ** 2) / 8)
    # A pixel sees what is right of it, so the point leaves its trace on the left.
    np.testing.assert_allclose(across[15, 15::-1][:11], weights / weights.sum())
    np.testing.assert_allclose(across.sum(), 1)
    assert np.count_nonzero(across) == 11
    oblique = motion_blur(image, 5, 2.0, 45.0)[..., 0]
    places = np.argwhere(oblique)
    np.testing.assert_array_equal(places[:, 0], places[:, 1])
    assert places.max() == 15, "45 degrees look down to the right"
    steep = np.argwhere(motion_blur(image, 5, 2.0, 30.0)[..., 0])
    expected = [np.ceil(i * np.array([0.5, 0.75**0.5]) - 0.5) for i in range(11)]
    np.testing.assert_array_equal(steep[::-1], 15 - np.array(expected))


def test_motion_blur_repeats_the_border():
    flat = np.full((9, 9, 3), 0.7, np.float32)
    np.testing.assert_allclose(motion_blur(flat, 10, 3, 20.0), flat, rtol=1e-6)
    edge = np.zeros((9, 9, 1))
    edge[:, -1] = 1
    np.testing.assert_allclose(motion_blur(edge, 3, 2.0, 0.0)[:, -1], 1)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_severities_go_further_and_stay_in_range(corruption, channels):
    images = pictures(3, channels)
    moved = []
    for severity in range(6):
        shifted = corrupted(images, corruption, severity)
        assert shifted.shape == images.shape
        assert shifted.dtype == np.float32
        assert 0 <= shifted.min() <= shifted.max() <= 1
        moved.append(np.abs(shifted - images).mean())
    assert moved[0] == 0
    assert moved == sorted(moved)
    assert moved[5] > moved[1] > 0.02


def test_angle_depends_on_seed_and_id_alone():
    images = pictures(3)
    images[2] = images[0]
    some = corrupted(images, "motion_blur", 3, ids=[4, 7, 9])
    np.testing.assert_array_equal(corrupted(images[:1], "motion_blur", 3, ids=[4])[0], some[0])
    assert np.any(some[2] != some[0])
    assert np.any(corrupted(images, "motion_blur", 3, ids=[4, 7, 9], seed=1) != some)


def test_constants_are_the_authors():
    assert BRIGHTNESS == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert MOTION["imagenet"] == ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
    assert all(radius >= sigma for table in MOTION.values() for radius, sigma in table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corruption": "fog"}, "corruption: there is no 'fog'"),
        ({"severity": 6}, "severity is 6, expected 0 to 5"),
        ({"scale": "cifar"}, "scale: there is no 'cifar'"),
    ],
)
def test_bad_options_are_named(change, message):
    options = {"corruption": "motion_blur", "severity": 1} | change
    with pytest.raises(ValueError, match=message):
        corrupted(pictures(), **options)
