"""The autoencoders as infillers: their layers, losses and weights, and pictures of another size."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fidojax import data
from fidojax.networks import fold, weight_files
from infillers import holes
from infillers.local import local
from infillers.resized import resized
from infillers.vae import authors, mnist, natural
from infillers.vae.mnist import MnistVAE
from infillers.vae.natural import NaturalVAE
from infillers.vae.parts import Latent, Up
from infillers.vae.vae import WEIGHTS, vae

KEY = jax.random.key(0)
BUILD = {
    "mnist": lambda norm=True: MnistVAE(4, 3, norm=norm, rngs=nnx.Rngs(0)),
    "natural": lambda norm=True: NaturalVAE((4, 6, 8), 5, (2,), norm=norm, rngs=nnx.Rngs(0)),
    "plain": lambda norm=True: NaturalVAE((4, 4, 4), 2, (2,), False, norm=norm, rngs=nnx.Rngs(0)),
}
CHANNELS = {"mnist": 1, "natural": 3, "plain": 3}
filled = jax.jit(lambda infill, key, image, mask: infill(key, image, mask))


def made(name: str) -> Any:
    """The network with arrays of all kinds: no scale is 1, no shift 0, all variances positive."""
    graph, state = nnx.split(nnx.eval_shape(BUILD[name]))
    rng = np.random.default_rng(0)

    def draw(leaf):
        if leaf.ndim == 1:
            return jnp.asarray(rng.uniform(0.2, 1.2, leaf.shape), jnp.float32)
        fan_in = np.prod(leaf.shape[:-1])
        return jnp.asarray(rng.normal(0, 2.0 * fan_in**-0.5, leaf.shape), jnp.float32)

    return nnx.merge(graph, jax.tree.map(draw, state))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights of each small network as a user would have them on disk."""
    paths = {name: tmp_path_factory.mktemp("vae") / f"{name}.npz" for name in BUILD}
    for name, path in paths.items():
        weight_files.save(path, fold(made(name)))
    return paths


def pair(name: str, side: int = 12) -> tuple[jax.Array, jax.Array]:
    image = jax.random.uniform(jax.random.key(1), (side, side + 4, CHANNELS[name]))
    return image, jax.random.bernoulli(jax.random.key(2), 0.5, image.shape[:2]).astype(jnp.float32)


def conv(side: int, c_in: int, c_out: int) -> int:
    return side * side * c_in * c_out + c_out


def test_the_mnist_network_has_the_layers_of_the_authors():
    """Convolutions with biases, and two numbers per channel after each hidden layer."""
    network = nnx.eval_shape(lambda: MnistVAE(norm=False, rngs=nnx.Rngs(0)))
    convs = [
        conv(3, 2, 8),
        conv(3, 8, 8),
        conv(3, 8, 16),
        conv(3, 8, 8),
        conv(4, 8, 8),
        conv(4, 8, 1),
    ]
    count = sum(x.size for x in jax.tree.leaves(nnx.state(network)))
    assert count == sum(convs) + 2 * 4 * 8 == 3713
    images, masks = jnp.zeros((2, 28, 28, 1)), jnp.zeros((2, 28, 28))
    run = jax.eval_shape(lambda: MnistVAE(rngs=nnx.Rngs(0)).encode(images, masks))
    assert run.mean.shape == run.log_variance.shape == (2, 7, 7, 8)


@pytest.mark.parametrize(("variance", "outputs"), [(True, 6), (False, 3)])
def test_the_natural_network_has_the_layers_of_the_authors(variance, outputs):
    network = nnx.eval_shape(lambda: NaturalVAE(variance=variance, norm=False, rngs=nnx.Rngs(0)))
    down = [conv(5, 4, 64), conv(3, 64, 128), conv(3, 128, 128), conv(3, 128, 256)]
    down += 6 * [conv(3, 256, 256)] + [conv(3, 256, 512)]
    up = 2 * [conv(3, 256, 256)] + [conv(4, 256, 128), conv(3, 128, 128), conv(4, 128, 64)]
    up += [conv(3, 64, 32), conv(3, 32, outputs)]
    affine = 2 * (64 + 128 + 128 + 7 * 256 + 2 * 256 + 128 + 128 + 64 + 32)
    count = sum(x.size for x in jax.tree.leaves(nnx.state(network)))
    assert count == sum(down) + sum(up) + affine

    def run(images, masks):
        network = NaturalVAE(variance=variance, rngs=nnx.Rngs(0))
        return network.encode(images, masks), network(images, masks)

    dilations = [getattr(layer.conv, "kernel_dilation", 1) for layer in network.down]
    assert [d for d in dilations if d != 1] == [2, 4, 8, 16]
    for side in (28, 64, 224):
        images, masks = jnp.zeros((1, side, side, 3)), jnp.zeros((1, side, side))
        latent, decoded = jax.eval_shape(partial(run, images, masks))
        assert latent.mean.shape == (1, side // 4, side // 4, 256)
        assert decoded.shape == (1, side, side, outputs)


def test_relu_comes_before_the_norm():
    network = fold(made("mnist"))
    layer = network.down[0]
    x = jax.random.normal(KEY, (1, 8, 8, 2))
    expected = nnx.relu(layer.conv(x)) * layer.norm.scale[...] + layer.norm.bias[...]
    np.testing.assert_allclose(layer(x, False), expected, atol=1e-6)


def test_up_is_the_transposed_convolution():
    up = Up(3, 5, rngs=nnx.Rngs(0))
    x = jax.random.normal(KEY, (2, 6, 7, 3))
    up.bias.set_value(jnp.arange(5.0))

    def stock(x):
        numbers = ("NHWC", "HWIO", "NHWC")
        kernel = up.kernel[...]
        return jax.lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=numbers)

    np.testing.assert_allclose(up(x), stock(x) + jnp.arange(5.0), atol=1e-5)
    slope = [
        jax.grad(lambda x, f=f: jnp.sum(jnp.sin(f(x))))(x)
        for f in (stock, lambda x: up(x) - up.bias[...])
    ]
    np.testing.assert_allclose(*slope, atol=1e-5)


@pytest.mark.parametrize("name", BUILD)
def test_folding_keeps_the_function(name):
    network = made(name)
    image, mask = pair(name)
    plain = fold(network)
    run = jax.jit(lambda network: network(image[None], mask[None]))
    before, after = run(network), run(plain)
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-4)
    assert not jax.tree.leaves(nnx.split(plain, nnx.Param, ...)[2])
    with pytest.raises(ValueError, match="norm=True"):
        fold(plain)


@pytest.mark.parametrize("name", BUILD)
def test_the_infill_looks_at_kept_pixels_only(name, files):
    image, mask = pair(name)
    infill = partial(filled, vae(files[name], size=None))
    plain = infill(KEY, image, mask)
    assert plain.shape == image.shape
    assert plain.dtype == image.dtype
    assert 0 <= float(plain.min()) < float(plain.max()) <= 1
    changed = jnp.where(mask[..., None] == 1, image, 0.777)
    np.testing.assert_array_equal(plain, infill(KEY, changed, mask))
    other = infill(KEY, jnp.where(mask[..., None] == 1, 1 - image, image), mask)
    assert float(jnp.abs(other - plain).max()) > 1e-3
    dropped = mask.at[4:8, 4:8].set(1 - mask[4:8, 4:8])
    assert float(jnp.abs(infill(KEY, image, dropped) - plain).max()) > 1e-3


@pytest.mark.parametrize("name", BUILD)
def test_vmap_equals_a_loop_and_new_weights_do_not_retrace(name, files):
    image, mask = pair(name)
    infill = vae(files[name], size=None)
    keys, masks = jax.random.split(KEY, 3), jnp.stack([mask, 1 - mask, jnp.ones_like(mask)])
    batch = jax.jit(jax.vmap(infill, in_axes=(0, None, 0)))(keys, image, masks)
    for key, one, got in zip(keys, masks, batch, strict=True):
        np.testing.assert_allclose(got, filled(infill, key, image, one), atol=1e-5)
    traces = 0

    @jax.jit
    def run(infill):
        nonlocal traces
        traces += 1
        return infill(KEY, image, mask)

    first = run(infill)
    second = run(vae(files[name], size=None))
    third = run(jax.tree.map(lambda leaf: leaf * 0.9, infill))
    assert traces == 1
    np.testing.assert_array_equal(first, second)
    assert float(jnp.abs(first - third).max()) > 1e-4


def test_the_latent_is_drawn_or_its_mean(files):
    image, mask = pair("natural")
    keys = jax.random.split(KEY, 2)
    one, other = (filled(vae(files["natural"], size=None), key, image, mask) for key in keys)
    assert float(jnp.abs(one - other).max()) > 1e-3
    still = vae(files["natural"], size=None, latent="mean")
    np.testing.assert_array_equal(*(filled(still, key, image, mask) for key in keys))
    latent = Latent(jnp.full((1, 40, 40, 8), 3.0), jnp.full((1, 40, 40, 8), 2 * np.log(0.5)))
    drawn = latent.sample(KEY)
    assert float(drawn.mean()) == pytest.approx(3.0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.5, abs=0.02)


def test_pixels_are_drawn_from_the_decoder(files):
    image, mask = pair("mnist")
    ink = filled(vae(files["mnist"], size=None, sample=True), KEY, image, mask)
    assert set(np.unique(ink)) == {0.0, 1.0}
    decoded = jnp.concatenate(
        [jnp.zeros((1, 64, 64, 3)), jnp.full((1, 64, 64, 3), 2 * np.log(0.2))], -1
    )
    middle = NaturalVAE.picture(decoded)
    np.testing.assert_allclose(middle[0, 0, 0], (0.485, 0.456, 0.406), rtol=1e-5)
    spread = (NaturalVAE.picture(decoded, KEY) - middle).std((0, 1, 2))
    np.testing.assert_allclose(spread, 0.2 * np.array([0.229, 0.224, 0.225]), rtol=0.05)
    image, mask = pair("plain")
    with pytest.raises(ValueError, match="variance=True"):
        vae(files["plain"], size=None, sample=True)(KEY, image, mask)


def test_grey_pictures_and_colours(files):
    image, mask = pair("natural")
    infill = vae(files["natural"], size=None, latent="mean")
    grey = image[..., :1]
    colours = filled(infill, KEY, jnp.repeat(grey, 3, -1), mask)
    np.testing.assert_allclose(filled(infill, KEY, grey, mask)[..., 0], colours.mean(-1), atol=1e-6)
    with pytest.raises(
        ValueError, match="image has 3 channels, but the network of vae has one, grey"
    ):
        vae(files["mnist"], size=None)(KEY, image, mask)


def test_bad_options_are_named(files, tmp_path):
    with pytest.raises(ValueError, match="latent: there is no 'men'; did you mean mean"):
        vae(files["mnist"], latent="men")
    with pytest.raises(ValueError, match="size: there is no 'big'"):
        vae(files["mnist"], size="big")
    with pytest.raises(FileNotFoundError, match="nothing"):
        vae(tmp_path / "nothing.npz")
    np.savez(tmp_path / "other.npz", kernel=np.zeros(3))
    with pytest.raises(ValueError, match=r"other.npz: expected the arrays of a MnistVAE"):
        vae(tmp_path / "other.npz")
    image, mask, ink = jnp.zeros((30, 32, 3)), jnp.ones((30, 32)), jnp.zeros((1, 30, 32, 1))
    with pytest.raises(ValueError, match="image is 30 x 32, expected multiples of 4"):
        vae(files["natural"], size=None)(KEY, image, mask)
    with pytest.raises(ValueError, match="which: there is no 'both'"):
        mnist.loss(ink, ink, mask[None], "both")


def test_losses_equal_their_formulas():
    rng = np.random.default_rng(0)
    x, m = rng.random((2, 4, 8, 1)), rng.integers(0, 2, (2, 4, 8)).astype(float)
    logits = rng.normal(size=x.shape)
    p = 1 / (1 + np.exp(-logits))
    entropy = -(x * np.log(p) + (1 - x) * np.log(1 - p))[..., 0]
    args: Any = tuple(jnp.asarray(a, jnp.float32) for a in (logits, x, m))
    np.testing.assert_allclose(mnist.loss(*args), entropy.sum((1, 2)), rtol=1e-5)
    paper = mnist.loss(*args, which="paper")
    np.testing.assert_allclose(paper, ((1 - m) * entropy).sum((1, 2)), rtol=1e-5)

    x, decoded = rng.random((2, 4, 8, 3)), rng.normal(size=(2, 4, 8, 6))
    scaled = (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    mean, log_variance = decoded[..., :3], decoded[..., 3:]
    each = 0.5 * (log_variance + (scaled - mean) ** 2 * np.exp(-log_variance))
    args = tuple(jnp.asarray(a, jnp.float32) for a in (decoded, x, m))
    expected = ((1 - m)[..., None] * each).sum((1, 2, 3))
    np.testing.assert_allclose(natural.loss(*args), expected, rtol=1e-4)
    p = (1 / (1 + np.exp(-mean)) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    expected = ((1 - m)[..., None] * (scaled - p) ** 2).sum((1, 2, 3))
    got = natural.loss(args[0][..., :3], *args[1:])
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_divergence_is_the_integral():
    """Of one component, by a sum over a fine grid."""
    mean, log_variance = 0.7, -1.1
    z = np.linspace(-12, 12, 20001)
    q = np.exp(-0.5 * (z - mean) ** 2 / np.exp(log_variance)) / np.sqrt(
        2 * np.pi * np.exp(log_variance)
    )
    log_ratio = -0.5 * (z - mean) ** 2 / np.exp(log_variance) - 0.5 * log_variance + 0.5 * z**2
    expected = np.sum(q * log_ratio) * (z[1] - z[0])
    latent = Latent(jnp.full((2, 3, 3, 4), mean), jnp.full((2, 3, 3, 4), log_variance))
    np.testing.assert_allclose(latent.divergence(), 36 * expected, rtol=1e-4)


def test_a_grey_network_runs_at_28(files):
    image = jax.random.uniform(KEY, (40, 40, 1))
    mask = jnp.ones((40, 40))
    whole = filled(vae(files["mnist"], latent="mean"), KEY, image, mask)
    assert whole.shape == (40, 40, 1)
    own = filled(resized(vae(files["mnist"], latent="mean", size=None), 28), KEY, image, mask)
    np.testing.assert_array_equal(whole, own)


def test_a_given_network_is_taken(files):
    image, mask = pair("natural")
    build = partial(BUILD["natural"], norm=False)
    own = vae(files["natural"], size=None, network=build, latent="mean")
    own, guessed = (
        filled(i, KEY, image, mask) for i in (own, vae(files["natural"], size=None, latent="mean"))
    )
    np.testing.assert_array_equal(own, guessed)
    with pytest.raises(ValueError, match="lack the arrays"):
        vae(files["natural"], network=partial(BUILD["mnist"], norm=False))


def error(infill: Any, image: Any, mask: Any) -> float:
    hole = 1 - mask[..., None]
    off = hole * (filled(infill, KEY, image, mask) - image)
    return float(jnp.sqrt(jnp.sum(off**2) / jnp.sum(hole)))


def test_the_shipped_weights_know_more_than_the_neighbours_mean():
    (cat,) = data.pictures(["skimage:chelsea"], size=(64, 64, 3))
    assert isinstance(cat, data.Picture)
    mask = holes.random_pixels(jax.random.key(3), (64, 64))
    assert error(vae(), cat.image, mask) < 0.8 * error(local(), cat.image, mask)
    size = (WEIGHTS / "vae_tiny_imagenet40.npz").stat().st_size
    assert size < 4e6
    large = jax.eval_shape(vae(), KEY, jnp.zeros((224, 200, 3)), jnp.ones((224, 200)))
    assert large.shape == (224, 200, 3)


def test_the_shipped_mnist_weights_know_digits(shared):
    eight = jnp.asarray(np.load(shared / "data" / "mnist_eights.npz")["images"][0] / 255.0)[
        ..., None
    ]
    for mask in (holes.random_pixels(jax.random.key(3), (28, 28)), holes.centred((28, 28))):
        assert error(vae("mnist"), eight, mask) < error(local(color=0.0), eight, mask)


def authors_input():
    x = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    return x, (np.random.default_rng(1).random((3, 28, 28)) < 0.5).astype(np.float32)


def authors_infill(shared):
    x, z = authors_input()
    infill = vae(shared / "models" / "mnist_vae_vdsm.npz", latent="mean")
    return np.asarray(jax.jit(jax.vmap(infill, (None, 0, 0)))(KEY, x, z))


RECORDED = [
    [0.4273558, 0.5619183, 0.6327297, 0.2930588],
    [0.5125179, 0.7431962, 0.8145297, 0.4884646],
    [0.5076746, 0.8611721, 0.9342824, 0.8382218],
]
"""Rows 12 to 14, columns 10 to 13 of the first answer of the authors' network in PyTorch."""


def test_the_authors_weights_give_what_pytorch_recorded(shared):
    np.testing.assert_allclose(authors_infill(shared)[0, 12:15, 10:14, 0], RECORDED, atol=1e-5)


def test_the_authors_weights_agree_with_pytorch(shared):
    torch = pytest.importorskip("torch")
    nn = torch.nn

    def normed(conv):
        return [conv, nn.ReLU(), nn.BatchNorm2d(8)]

    encode = [*normed(nn.Conv2d(2, 8, 3, 2, 1)), *normed(nn.Conv2d(8, 8, 3, 2, 1))]
    encode += [nn.Conv2d(8, 16, 3, 1, 2, dilation=2)]
    decode = [*normed(nn.Conv2d(8, 8, 3, 1, 1)), *normed(nn.ConvTranspose2d(8, 8, 4, 2, 1))]
    decode += [nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Sigmoid()]
    network = nn.ModuleDict({"encode": nn.Sequential(*encode), "decode": nn.Sequential(*decode)})
    arrays = weight_files.read(shared / "models" / "mnist_vae_vdsm.npz")
    network.load_state_dict({k: torch.tensor(v) for k, v in arrays.items()}, strict=False)
    x, z = (torch.tensor(a.reshape(3, 1, 28, 28)) for a in authors_input())
    with torch.no_grad():
        latent = network.eval()["encode"](torch.cat([x * z, 1 - z], 1))
        expected = network["decode"](latent[:, :8]).numpy()[:, 0]
    np.testing.assert_allclose(authors_infill(shared)[..., 0], expected, atol=1e-5)


def test_a_missing_array_of_the_authors_is_named():
    with pytest.raises(ValueError, match=r"an array 'encode.0.bias'"):
        authors.convert({"encode.0.weight": np.zeros((8, 2, 3, 3))}, "vdsm.npz")
