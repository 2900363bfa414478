"""Infillers from any function: what it is given and what comes back, by each convention."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from infillers import from_function

KEY = jax.random.key(0)
SIZE = (6, 8)


@pytest.fixture
def image():
    return jax.random.uniform(KEY, (*SIZE, 3))


@pytest.fixture
def mask():
    return jax.random.bernoulli(jax.random.key(1), 0.5, SIZE).astype(jnp.float32)


def axes(layout, array):
    """An array "h w c" in a layout, by numpy."""
    array = np.transpose(array, (2, 0, 1)) if "ch" in layout else np.asarray(array)
    return array[None] if layout[0] == "n" else array


CONVENTIONS = [
    *itertools.product([(0.0, 1.0)], ["keep", "drop"], ["nhwc", "nchw", "hwc", "chw"], [0.0]),
    ((-1.0, 1.0), "keep", "nchw", 0.0),
    ((0, 255), "drop", "hwc", 127.0),
]


@pytest.mark.parametrize(("values", "holes", "layout", "blank"), CONVENTIONS)
def test_it_is_given_and_returns_what_its_conventions_say(
    values, holes, layout, blank, image, mask
):
    low, high = values
    given = []

    def inpaint(picture, mask):
        given.append((np.asarray(picture), np.asarray(mask)))
        return low + 0.25 * (high - low) + 0 * picture + 0.5 * (high - low) * mask

    infill = from_function(
        inpaint, values=values, mask=holes, layout=layout, blank=blank, composite=False
    )
    found = infill(KEY, image, mask)
    ((picture, seen),) = given
    kept = np.asarray(mask)[..., None]
    scaled = low + (high - low) * np.asarray(image)
    np.testing.assert_allclose(
        picture, axes(layout, np.where(kept == 1, scaled, blank)), rtol=1e-6, atol=1e-6
    )
    one = kept if holes == "keep" else 1 - kept
    np.testing.assert_array_equal(seen, axes(layout, one))
    np.testing.assert_allclose(found, np.broadcast_to(0.25 + 0.5 * one, (*SIZE, 3)), atol=1e-6)


def doubled(weights, key, picture, mask):
    del key, mask
    return weights * picture + 3.0


def test_results_are_clipped_and_kept_pixels_are_exact(image, mask):
    found = from_function(Partial(doubled, jnp.ones(())), keyed=True)(KEY, image, mask)
    kept = np.asarray(mask) == 1
    np.testing.assert_array_equal(np.asarray(found)[kept], np.asarray(image)[kept])
    assert np.all(np.asarray(found)[~kept] == 1.0)


def test_dropped_pixels_do_not_leak_and_the_key_is_passed_on(image, mask):
    def noisy(key, picture, mask):
        return 0.5 * picture + jax.random.uniform(key, picture.shape)

    infill = from_function(noisy, 4, keyed=True)
    changed = jnp.where(mask[..., None] == 1, image, 0.777)
    np.testing.assert_array_equal(infill(KEY, image, mask), infill(KEY, changed, mask))
    assert float(jnp.abs(infill(KEY, image, mask) - infill(jax.random.key(2), image, mask)).max())


def test_new_weights_do_not_retrace_and_vmap_batches(image, mask):
    traces = []

    @jax.jit
    def run(infill, images):
        traces.append(1)
        return jax.vmap(lambda x: infill(KEY, x, mask))(images)

    images = jnp.stack([image, 0.5 * image])
    for weight in (0.0, -3.0):
        infill = from_function(Partial(doubled, jnp.asarray(weight)), keyed=True, composite=False)
        found = run(infill, images)
    assert len(traces) == 1
    expected = jnp.clip(3.0 - 3.0 * images * mask[..., None], 0, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_its_size_is_the_side_it_runs_at(image, mask):
    shapes = []

    def inpaint(picture, mask):
        shapes.append((picture.shape, mask.shape))
        return picture

    assert from_function(inpaint, 16)(KEY, image, mask).shape == image.shape
    assert shapes == [((1, 16, 16, 3), (1, 16, 16, 1))]


@pytest.mark.parametrize(
    ("options", "returned", "said"),
    [
        ({"mask": "hole"}, None, "mask: there is no 'hole'"),
        ({"layout": "hcw"}, None, "layout: there is no 'hcw'"),
        ({"values": (1, 0)}, None, r"values is \(1, 0\), expected the lowest and the highest"),
        ({"size": 0}, None, "size is 0"),
        ({}, jnp.zeros((6, 8, 3)), r"returns shape \(6, 8, 3\), expected .* \(1, 6, 8, 3\)"),
        ({"layout": "chw"}, jnp.zeros((6, 8, 3)), r"\(6, 8, 3\), expected .* \(3, 6, 8\)"),
        ({}, (jnp.zeros((1, 6, 8, 3)),), r"the inpainter returns a tuple, expected a picture"),
    ],
)
def test_wrong_options_and_results_are_named(options, returned, said, image, mask):
    with pytest.raises(ValueError, match=said):
        jax.jit(from_function(lambda *_: returned, **options))(KEY, image, mask)
