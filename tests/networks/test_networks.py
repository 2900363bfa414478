"""The shipped networks: sizes, dropout by key, and batch norm folded into the convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fidojax.networks import IMAGENET_MEAN, MnistAllConv, ResNet, fold


def count(network: nnx.Module) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))


def filled(build, seed: int = 0):
    """The network with all arrays drawn by numpy: quicker than compiling its initialisers."""
    network, rng = nnx.eval_shape(build), np.random.default_rng(seed)
    state = nnx.state(network)
    nnx.update(
        network,
        jax.tree.map(lambda x: jnp.asarray(rng.uniform(-0.3, 0.3, x.shape), jnp.float32), state),
    )
    return network


@pytest.fixture
def trained() -> ResNet:
    """A small network whose running statistics and gains are not those of the start."""
    network = filled(lambda: ResNet(5, (8, 12), (2, 1), rngs=nnx.Rngs(1)))
    rng = np.random.default_rng(0)
    for _, module in nnx.iter_graph(network):
        if isinstance(module, nnx.BatchNorm):
            for name, low in (("scale", 0.5), ("var", 0.3), ("mean", -1.0), ("bias", -1.0)):
                leaf = getattr(module, name)
                leaf[...] = jnp.asarray(rng.uniform(low, 2.0, leaf.shape), jnp.float32)
    return network


def test_mnist_network_is_the_published_one():
    network = nnx.eval_shape(lambda: MnistAllConv(nnx.Rngs(0)))
    assert count(network) == 239_594
    images = jax.ShapeDtypeStruct((3, 28, 28, 1), jnp.float32)
    assert jax.eval_shape(lambda n, x: n(x), network, images).shape == (3, 10)


def test_dropout_follows_the_key():
    network = filled(lambda: MnistAllConv(nnx.Rngs(0)))
    images = jnp.ones((2, 28, 28, 1))
    plain = network(images)
    np.testing.assert_array_equal(plain, network(images, train=True))
    one, same, other = (network(images, key=jax.random.key(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, plain)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("size", [48, 64])
def test_shipped_resnet_shapes(size):
    build = lambda: ResNet(40, (24, 64, 128, 256), (1, 2, 2, 1), norm=False, rngs=nnx.Rngs(0))  # noqa: E731
    network = nnx.eval_shape(build)
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    assert jax.eval_shape(lambda n, x: n(x), network, images).shape == (2, 40)
    assert count(network) < 2_000_000, "4 MB as float16"


def test_no_kernel_is_larger_than_its_feature_map():
    build = lambda: ResNet(4, (4, 4, 4, 4), (1, 1, 1, 1), norm=False, rngs=nnx.Rngs(0))  # noqa: E731
    network = filled(build)
    program = jax.make_jaxpr(network)(jnp.zeros((1, 48, 48, 3)))
    convolutions = [e for e in program.jaxpr.eqns if e.primitive.name == "conv_general_dilated"]
    assert len(convolutions) == 12
    for equation in convolutions:
        image, kernel = (variable.aval.shape for variable in equation.invars)
        assert kernel[0] <= image[1], f"a {kernel[0]} kernel on a map of side {image[1]}"


def test_normalisation_is_part_of_the_network():
    network = filled(lambda: ResNet(3, (4,), (1,), norm=False, rngs=nnx.Rngs(0)))
    state = nnx.state(network)  # without biases, zero stays zero
    nnx.update(network, jax.tree.map(lambda x: x if x.ndim > 1 else jnp.zeros_like(x), state))
    mean = jnp.broadcast_to(jnp.asarray(IMAGENET_MEAN), (1, 8, 8, 3))
    np.testing.assert_allclose(network(mean), 0.0, atol=1e-6)
    assert np.abs(network(mean + 0.1)).max() > 1e-3


def test_folded_equals_unfolded(trained):
    images = jax.random.uniform(jax.random.key(0), (4, 16, 16, 3))
    expected = trained(images)
    folded = fold(trained)
    assert not jax.tree.leaves(nnx.state(folded, nnx.BatchStat))
    np.testing.assert_allclose(folded(images), expected, rtol=1e-5, atol=1e-5 * np.ptp(expected))
    assert np.ptp(expected) > 0.1


def test_training_updates_running_statistics(trained):
    images = jax.random.uniform(jax.random.key(0), (4, 16, 16, 3))
    before = np.asarray(trained.stem.norm.mean[...])
    trained(images)
    np.testing.assert_array_equal(trained.stem.norm.mean[...], before)
    trained(images, train=True)
    assert not np.allclose(trained.stem.norm.mean[...], before)


def test_folding_twice_is_refused(trained):
    with pytest.raises(ValueError, match="norm=True"):
        fold(fold(trained))


def test_one_width_per_stage():
    with pytest.raises(ValueError, match="one entry per stage"):
        ResNet(3, (4, 8), (1,), rngs=nnx.Rngs(0))
