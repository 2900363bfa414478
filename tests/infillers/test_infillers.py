"""The table of infillers: what all must do, and the definition of each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.filters import gaussian

import infillers
from fidojax.networks import IMAGENET_MEAN

ROWS = {
    "mean": infillers.mean(),
    "black": infillers.mean(0.0),
    "blur": infillers.blur(3.0),
    "random": infillers.random(),
    "local": infillers.local(5),
    "road": infillers.road(),
}
LEARNED = ("vae", "ca", "mae", "unet")
LEAKS = {"blur"}
"""By definition these look at dropped pixels."""


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(1), (16, 20, 3))


@pytest.fixture
def mask():
    return jax.random.bernoulli(jax.random.key(2), 0.4, (16, 20)).astype(jnp.float32)


@pytest.fixture
def rows(small):
    return ROWS | small


def test_every_infiller_is_in_the_table():
    assert set(infillers.INFILLERS) <= {*ROWS, *LEARNED}


@pytest.mark.parametrize("name", [*ROWS, *LEARNED])
def test_shape_range_jit_and_same_key_same_infill(name, image, mask, rows):
    infill = rows[name]
    plain = infill(jax.random.key(0), image, mask)
    assert plain.shape == image.shape
    assert plain.dtype == image.dtype
    assert float(plain.min()) >= 0
    assert float(plain.max()) <= 1
    compiled = jax.jit(lambda i, k, x, m: i(k, x, m))(infill, jax.random.key(0), image, mask)
    np.testing.assert_allclose(plain, compiled, atol=1e-6)


COLOUR = "the infiller's color has 3 channels: give `color`, one number or one per channel"
CHANNELS = {
    "mean": COLOUR,
    "local": COLOUR,
    "road": COLOUR,
    "vae": "the network of vae has 3 channels: infillers.blur",
    "ca": "the network of ca has 3 channels: infillers.blur",
    "mae": "the network of mae has 3 channels: infillers.blur",
    "unet": "the network of unet has 3 channels: infillers.blur",
    "black": None,
    "blur": None,
    "random": None,
}


@pytest.mark.parametrize("count", [2, 4, 6])
@pytest.mark.parametrize("name", [*ROWS, *LEARNED])
def test_channels_that_an_infiller_lacks_are_named(name, count, mask, rows):
    image = jax.random.uniform(jax.random.key(1), (16, 20, count))
    if CHANNELS[name] is None:
        found = rows[name](jax.random.key(0), image, mask)
        assert found.shape == image.shape
        return
    with pytest.raises(ValueError, match=f"image has {count} channels, but {CHANNELS[name]}"):
        rows[name](jax.random.key(0), image, mask)


def test_a_colour_may_have_any_channels(mask):
    color = (0.1, 0.2, 0.3, 0.4)
    image = jnp.ones((16, 20, 4))
    np.testing.assert_allclose(infillers.mean(color)(jax.random.key(0), image, mask)[0, 0], color)
    for infill in (infillers.local(3, color), infillers.road(0.0, color)):
        found = infill(jax.random.key(0), image, jnp.zeros_like(mask))
        np.testing.assert_allclose(found[3, 3], color, atol=1e-6)


@pytest.mark.parametrize("name", [*ROWS, *LEARNED])
def test_works_on_grey_pictures_and_under_vmap(name, image, mask, rows):
    grey = image[..., :1]
    keys = jax.random.split(jax.random.key(0), 3)
    batch = jax.vmap(rows[name], in_axes=(0, None, None))(keys, grey, mask)
    assert batch.shape == (3, 16, 20, 1)
    np.testing.assert_allclose(batch[1], rows[name](keys[1], grey, mask), atol=1e-6)


@pytest.mark.parametrize("name", [n for n in (*ROWS, *LEARNED) if n not in LEAKS])
def test_looks_at_kept_pixels_only(name, image, mask, rows):
    """Whatever the dropped pixels were, the infill is the same to the bit."""
    infill = rows[name]
    key = jax.random.key(0)
    changed = jnp.where(mask[..., None] == 1, image, 0.777)
    np.testing.assert_array_equal(infill(key, image, mask), infill(key, changed, mask))


@pytest.mark.parametrize("name", [*ROWS, *LEARNED])
def test_new_constants_do_not_retrace(name, image, mask, rows):
    traces = 0

    @jax.jit
    def run(infill, image):
        nonlocal traces
        traces += 1
        return infill(jax.random.key(0), image, mask)

    for _ in range(3):
        run(jax.tree.map(lambda leaf: leaf * 0.9, rows[name]), image)
    assert traces == 1


def test_mean_is_the_given_colour(image, mask):
    np.testing.assert_allclose(
        infillers.mean()(jax.random.key(0), image, mask)[3, 4], IMAGENET_MEAN, rtol=1e-6
    )
    grey = infillers.mean()(jax.random.key(0), image[..., :1], mask)
    np.testing.assert_allclose(grey, np.mean(IMAGENET_MEAN), rtol=1e-6)


def test_blur_equals_scikit_image(image, mask):
    """Mirrored borders (scipy calls this mode mirror) and a kernel of four sigma to each side."""
    for sigma in (2.0, 10.0):
        blurred = infillers.blur(sigma)(jax.random.key(0), image, mask)
        expected = gaussian(np.asarray(image), sigma, mode="mirror", truncate=4, channel_axis=-1)
        np.testing.assert_allclose(blurred, expected, atol=2e-6)


def test_blur_of_the_authors_has_81_taps():
    impulse = jnp.zeros((201, 1, 1)).at[100].set(1.0)
    blurred = infillers.blur()(jax.random.key(0), impulse, jnp.ones((201, 1)))
    assert int(jnp.sum(blurred > 0)) == 81
    assert float(blurred.sum()) == pytest.approx(1.0, abs=1e-6)


def test_random_is_one_colour_with_noise():
    image = jnp.zeros((64, 64, 3))
    mask = jnp.ones((64, 64))
    keys = jax.random.split(jax.random.key(0), 200)
    flat = jax.vmap(infillers.random(0.0), in_axes=(0, None, None))(keys, image, mask)
    assert float(jnp.ptp(flat, axis=(1, 2)).max()) == 0
    colours = flat[:, 0, 0].ravel()
    assert abs(float(colours.mean()) - 0.5) < 0.04
    assert abs(float(colours.std()) - 12**-0.5) < 0.03
    noisy = jax.vmap(infillers.random(), in_axes=(0, None, None))(keys, image, mask)
    # Around the middle of the range clipping at 2.5 sigma takes 1% off the standard deviation.
    middle = jnp.abs(flat[:, 0, 0] - 0.5) < 0.05
    spread = (noisy - flat).std(axis=(1, 2))[middle]
    assert float(spread.mean()) == pytest.approx(0.197, abs=0.003)


def test_local_is_the_mean_of_the_kept_pixels_in_the_window(image, mask):
    window, half = 5, 2
    filled = np.asarray(infillers.local(window)(jax.random.key(0), image, mask))
    x, z = np.asarray(image), np.asarray(mask)
    for i in range(16):
        for j in range(20):
            rows = slice(max(i - half, 0), i + half + 1)
            columns = slice(max(j - half, 0), j + half + 1)
            kept = x[rows, columns][z[rows, columns] == 1]
            expected = kept.mean(axis=0) if len(kept) else np.array(IMAGENET_MEAN)
            np.testing.assert_allclose(filled[i, j], expected, atol=1e-6)


def test_local_without_neighbours_is_grey(image):
    filled = infillers.local()(jax.random.key(0), image, jnp.zeros((16, 20)))
    np.testing.assert_allclose(filled[0, 0], IMAGENET_MEAN, rtol=1e-6)


def test_bad_constants_are_named():
    with pytest.raises(ValueError, match="sigma is -1"):
        infillers.blur(-1)
    with pytest.raises(ValueError, match="window is 4"):
        infillers.local(4)
