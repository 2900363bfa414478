"""The U-Net in scales: what it sees, what it keeps, at any size; its parts by their values."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fidojax.networks import weight_files
from infillers.unet import UNet, folded, unet
from infillers.unet.blocks import unfolded
from infillers.unet.network import continued, enlarged, sizes, without_seams

KEYS = jax.random.split(jax.random.key(0), 4)


def small(seed: int = 0) -> UNet:
    return UNet((4, 8), (4, 8), 1, rngs=nnx.Rngs(seed))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("unet") / "small.npz"
    weight_files.save(path, small())
    return path


@pytest.fixture(scope="module")
def infill(path):
    return unet(path)


def picture(rows: int, columns: int, channels: int = 3):
    image = jax.random.uniform(KEYS[0], (rows, columns, channels))
    return image, jax.random.bernoulli(KEYS[1], 0.3, (rows, columns)).astype(jnp.float32)


@pytest.mark.parametrize("shape", [(32, 32, 3), (45, 70, 3), (130, 96, 1), (7, 9, 3)])
def test_kept_pixels_are_the_pictures_and_dropped_ones_are_not_seen(infill, shape):
    image, mask = picture(*shape)
    fill = jax.jit(infill)
    drawn = np.asarray(fill(KEYS[2], image, mask))
    assert drawn.shape == shape
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    np.testing.assert_array_equal(drawn[mask == 1], np.asarray(image)[mask == 1])
    other = jnp.where(mask[..., None] == 1, image, 1 - image)
    np.testing.assert_array_equal(fill(KEYS[3], other, mask), drawn)


def test_a_kept_pixel_matters_far_away(infill):
    """The coarse network sees the whole picture."""
    image, mask = jnp.full((128, 128, 3), 0.5), jnp.zeros((128, 128)).at[:8, :8].set(1.0)
    other = image.at[:8, :8].set(jnp.asarray([1.0, 0.0, 0.0]))
    far = [np.asarray(infill(KEYS[0], each, mask))[100:, 100:] for each in (image, other)]
    assert np.abs(far[0] - far[1]).max() > 0.01


def test_nothing_kept_is_filled(infill):
    drawn = infill(KEYS[0], jnp.ones((40, 40, 3)), jnp.zeros((40, 40)))
    assert bool(jnp.isfinite(drawn).all())


def test_new_weights_do_not_retrace(path, tmp_path):
    weight_files.save(tmp_path / "other.npz", small(1))
    count = 0

    @jax.jit
    def fill(infill, image, mask):
        nonlocal count
        count += 1
        return infill(KEYS[0], image, mask)

    image, mask = picture(32, 32)
    first, second = (fill(unet(each), image, mask) for each in (path, tmp_path / "other.npz"))
    assert count == 1
    assert float(jnp.abs(first - second).max()) > 1e-3


def test_a_file_of_another_network_is_refused(tmp_path):
    weight_files.save(tmp_path / "linear.npz", nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"linear\.npz: expected those of a U-Net of train\.unet"):
        unet(tmp_path / "linear.npz")
    with pytest.raises(FileNotFoundError):
        unet(tmp_path / "missing.npz")


def test_no_lattice_before_training():
    """A constant picture stays constant where the network adds nothing."""
    network = small()
    for part in (network.coarse, network.detail):
        part.paint.kernel[...] = jnp.zeros_like(part.paint.kernel[...])
    colour = jnp.asarray([0.2, 0.5, 0.9])
    _, mask = picture(100, 76)
    for drawn in network(jnp.broadcast_to(colour, (1, 100, 76, 3)), mask[None]):
        np.testing.assert_allclose(drawn - colour, 0, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((128, 128), [(64, 64), (128, 128)]),
        ((224, 224), [(64, 64), (120, 120), (224, 224)]),
        ((64, 64), [(64, 64), (64, 64)]),
        ((448, 224), [(64, 64), (120, 96), (232, 144), (448, 224)]),
    ],
)
def test_each_scale_is_at_most_about_twice_the_one_before(shape, expected):
    found = sizes(shape)
    assert found == expected
    ratios = [max(b) / max(a) for a, b in itertools.pairwise(found)]
    assert max(ratios) <= 2.1


def test_kept_values_continue_into_the_holes():
    image = jnp.zeros((1, 16, 16, 3)).at[:, :, 8:].set(1.0)
    share = jnp.ones((1, 16, 16, 1)).at[:, :, 3:13].set(0.0)
    filled = continued(image, share, halvings=4)
    np.testing.assert_array_equal(filled * share, image * share)  # kept pixels stay
    # Between a dark and a light edge Laplace's equation has a straight ramp.
    ramp = np.arange(1, 11) / 11
    np.testing.assert_allclose(filled[0, 8, 3:13, 0], ramp, atol=0.03)
    np.testing.assert_array_equal(continued(image, jnp.zeros_like(share), halvings=4), 0.0)


def test_fewer_halvings_reach_less_far():
    """One kept pixel with the value 1 in a picture of 256 pixels."""
    image = jnp.ones((1, 256, 256, 3))
    share = jnp.zeros((1, 256, 256, 1)).at[:, 128, 128].set(1.0)
    near, far = (continued(image, share, halvings=each)[0, 128, :, 0] for each in (0, 8))
    assert float(jnp.abs(near[145:]).max()) == 0.0  # a sweep moves values by one pixel
    assert float(far[250]) > 0.5


def test_the_second_scale_mends_what_the_coarse_picture_missed():
    """Smooth colours, a third of the pixels kept: even without networks the error falls."""
    network = small()
    for part in (network.coarse, network.detail):
        part.paint.kernel[...] = jnp.zeros_like(part.paint.kernel[...])
    image = enlarged(jax.random.uniform(KEYS[0], (1, 24, 24, 3)), (128, 128))
    mask = picture(128, 128)[1][None]
    coarse, drawn = network(image, mask)
    rough = enlarged(coarse, (128, 128))
    errors = [(jnp.abs(each - image)[mask == 0]).mean() for each in (rough, drawn)]
    assert float(errors[1]) < 0.6 * float(errors[0])


def test_the_coarse_scale_can_be_drawn_alone():
    image, mask = picture(128, 96)
    network = small()
    alone, both = network(image[None], mask[None], 1), network(image[None], mask[None])
    assert [each.shape[1:3] for each in both] == [(64, 64), (128, 96)]
    assert len(alone) == 1
    np.testing.assert_allclose(alone[0], both[0], atol=1e-6)


def test_what_repeats_every_four_pixels_is_taken_out():
    lattice = jnp.tile(jax.random.uniform(KEYS[0], (1, 4, 4, 2)), (1, 5, 6, 1))
    inside = without_seams(lattice)[:, 2:-2, 2:-2]
    np.testing.assert_allclose(inside - lattice[:, :4, :4].mean(axis=(1, 2)), 0, atol=1e-6)
    ramp = jnp.broadcast_to(jnp.arange(12.0)[None, :, None, None], (1, 12, 8, 1))
    np.testing.assert_allclose(without_seams(ramp)[:, 2:-2], ramp[:, 2:-2], atol=1e-5)


def test_folding_is_undone():
    x = jnp.arange(2 * 4 * 6 * 3.0).reshape(2, 4, 6, 3)
    assert folded(x).shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(folded(x)[0, 0, 1], x[0, :2, 2:4].reshape(-1))
    np.testing.assert_array_equal(unfolded(folded(x)), x)
