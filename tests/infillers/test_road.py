"""Noisy linear imputation against published numbers and a sparse solver, and ROAD with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from jax.tree_util import Partial

from fidojax.metrics import deletion
from fidojax.networks import IMAGENET_MEAN
from infillers.road import road

SHAPE = (11, 14)
KEY = jax.random.key(0)
fill = jax.jit(lambda infill, key, image, mask: infill(key, image, mask))


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(1), (*SHAPE, 3))


def a_mask(kind):
    if kind == "hole":
        return jnp.ones(SHAPE).at[2:9, 3:14].set(0)
    if kind == "two":
        return jnp.zeros(SHAPE).at[1, 2].set(1).at[8, 12].set(1)
    share = {"half": 0.5, "few": 0.05}[kind]
    return jax.random.bernoulli(jax.random.key(2), share, SHAPE).astype(jnp.float32)


def solved(image, mask):
    """The equations written out pixel by pixel, and solved in double precision."""
    image, mask = np.asarray(image, np.float64), np.asarray(mask)
    height, width = mask.shape
    matrix = scipy.sparse.lil_matrix((mask.size, mask.size))
    known = np.zeros((mask.size, image.shape[-1]))
    for (y, x), kept in np.ndenumerate(mask):
        at = y * width + x
        matrix[at, at] = 1
        if kept:
            known[at] = image[y, x]
            continue
        near = {
            (y + i, x + j): 1 / 6 if i * j == 0 else 1 / 12
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
            if (i, j) != (0, 0) and 0 <= y + i < height and 0 <= x + j < width
        }
        for (i, j), weight in near.items():
            matrix[at, i * width + j] = -weight / sum(near.values())
    return np.reshape(np.asarray(scipy.sparse.linalg.spsolve(matrix.tocsc(), known)), image.shape)


def test_published_numbers():
    """ROAD-1; three equal colours, of which the peers know one, have the same."""
    ramp = jnp.arange(16.0).reshape(4, 4, 1) / 15
    mask = jnp.ones(16).at[jnp.array([0, 5, 15])].set(0).reshape(4, 4)
    found = 15 * fill(road(0.0), KEY, jnp.repeat(ramp, 3, axis=-1), mask)
    for at, expected in ((0, 3.0508474576), (5, 5.2542372881), (15, 12.0)):
        np.testing.assert_allclose(found.reshape(16, 3)[at], expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["half", "few", "hole", "two"])
def test_the_system_is_solved_to_the_precision_of_float32(kind, image):
    mask = a_mask(kind)
    found = fill(road(0.0), KEY, image, mask)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, solved(image, mask), atol=3e-6)


def test_what_is_kept_is_returned_and_what_is_dropped_is_not_seen(image):
    mask = a_mask("half")
    changed = jnp.where(mask[..., None] == 1, image, 0.777)
    one, other = (fill(road(), KEY, picture, mask) for picture in (image, changed))
    np.testing.assert_array_equal(one, other)
    kept = np.asarray(mask) == 1
    np.testing.assert_allclose(one[kept], image[kept], atol=1e-6)


def test_where_nothing_is_kept_the_colour_stands(image):
    nothing = jnp.zeros(SHAPE)
    found = fill(road(0.0), KEY, image, nothing)
    np.testing.assert_allclose(found, np.broadcast_to(IMAGENET_MEAN, found.shape), rtol=1e-6)
    black = fill(road(0.0, 0.0), KEY, image[..., :1], nothing)
    assert not np.any(black)
    everything = fill(road(), KEY, image, jnp.ones(SHAPE))
    np.testing.assert_allclose(everything, image, atol=1e-6)


def test_noise_is_on_what_was_filled_in(image):
    middle = 0.4 + 0.2 * image
    mask = a_mask("half")
    keys = jax.random.split(KEY, 100)
    plain = fill(road(0.0), KEY, middle, mask)
    noise = jax.vmap(lambda key: fill(road(0.05), key, middle, mask))(keys) - plain
    dropped = np.asarray(mask) == 0
    assert float(jnp.std(noise[:, dropped])) == pytest.approx(0.05, rel=0.02)
    assert float(jnp.abs(noise.mean())) < 1e-3
    assert not np.any(noise[:, ~dropped])
    default = jax.vmap(lambda key: fill(road(), key, middle, mask))(keys) - plain
    assert float(jnp.std(default[:, dropped])) == pytest.approx(0.01, rel=0.02)
    loud = fill(road(10.0), KEY, middle, mask)
    assert float(loud.min()) == 0
    assert float(loud.max()) == 1


def test_a_picture_is_filled_alone_whatever_else_is_in_the_batch(image):
    """Systems of one batch stop at different times; nobody's numbers change after its own."""
    kinds = ("half", "two", "hole")
    masks = jnp.stack([a_mask(kind) for kind in kinds])
    images = jnp.stack([image, 0.1 * image, 1 - image])
    batch = jax.jit(jax.vmap(road(0.0), in_axes=(None, 0, 0)))(KEY, images, masks)
    for got, picture, mask in zip(batch, images, masks, strict=True):
        np.testing.assert_allclose(got, fill(road(0.0), KEY, picture, mask), atol=2e-6)


def test_new_constants_do_not_retrace(image):
    traces = 0

    @jax.jit
    def run(infill):
        nonlocal traces
        traces += 1
        return infill(KEY, image, a_mask("half"))

    for noise in (0.0, 0.01, 0.3):
        run(road(noise, noise))
    assert traces == 1


def _patch(weights, images):
    value = jnp.einsum("nhwc,hwc->n", images, weights)
    return jnp.stack([value, jnp.zeros_like(value)], axis=-1)


def test_road_is_deletion_with_it():
    """On colour pictures, where a peer crashes; perfect beats random beats inverted."""
    weights = jnp.zeros((10, 10, 3)).at[3:6, 4:8].set(0.1)
    picture = jnp.full((10, 10, 3), 0.2).at[3:6, 4:8].set(0.9)
    truth = weights.sum(-1)
    maps = jnp.stack([truth, -truth, *jax.random.normal(KEY, (6, 10, 10))])
    found = jax.jit(
        jax.vmap(
            lambda own: deletion(
                KEY, Partial(_patch, weights), picture, 0, own, infill=road(), steps=10
            )
        )
    )(maps)
    perfect, inverted, chance = found.auc[0], found.auc[1], found.auc[2:].mean()
    assert perfect < chance < inverted
    # With all of the patch gone, what is left of it is the ground's brightness.
    assert float(found.curve[0, 2]) == pytest.approx(36 * 0.1 * 0.2, abs=0.05)


def test_bad_constants_are_named():
    with pytest.raises(ValueError, match="noise is -1"):
        road(-1)
    with pytest.raises(ValueError, match="iterations is 0"):
        road(iterations=0)
