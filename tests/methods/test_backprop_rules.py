"""Deconvnet and guided backprop: published cases, a loop in NumPy, and every spelling of a ReLU."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import beside_zero
from flax import nnx
from jax import lax
from jax.tree_util import Partial

from fidojax import networks
from fidojax.methods.deconvnet import deconvnet
from fidojax.methods.guided_backprop import guided_backprop, guided_gradient
from fidojax.transforms import cpu
from fidojax.transforms import relu as rectifier

KEY = jax.random.key(0)
METHODS = {"deconvnet": deconvnet, "guided": guided_backprop}
X = jnp.arange(16.0).reshape(4, 4, 1)


def captum_network(images):
    """Model CN of the reference cases: its dense layer reads channel by channel."""
    x = lax.conv_general_dilated(
        images, jnp.ones((3, 3, 1, 2), images.dtype), (1, 1), "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    x = jax.nn.relu(x + jnp.array([-50.0, -75.0], images.dtype))
    x = x.transpose(0, 3, 1, 2).reshape(len(x), 8)
    rows = jnp.where(jnp.arange(8) < 5, 1.0, -1.0).astype(images.dtype)
    return jax.nn.relu(x @ jnp.tile(rows[:, None], (1, 4)))


@pytest.mark.parametrize("bits", [32, 64])
def test_guided_backprop_equals_captum(bits):
    with jax.enable_x64(bits == 64):
        image = jnp.asarray(np.arange(16.0).reshape(4, 4, 1), f"float{bits}")
        assert captum_network(image[None])[0].tolist() == [54.0] * 4
        saliency, info = guided_backprop(KEY, captum_network, image, 0)
        expected = [[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]]
        assert saliency.dtype == image.dtype
        np.testing.assert_allclose(saliency, expected, atol=1e-6 if bits == 64 else 1e-4)
        np.testing.assert_array_equal(info.gradient, guided_gradient(captum_network, image, 0))
        assert float(info.score) == 54


def test_deconvnet_ignores_what_went_in():
    """Of CN: the five positive weights come back through every unit, active or not."""
    saliency, _ = deconvnet(KEY, captum_network, X, 0)
    positive = np.array([[1, 1], [1, 1]]) + np.array([[1, 0], [0, 0]])  # first channel, then second
    expected = np.zeros((4, 4))
    for row in range(2):
        for column in range(2):
            expected[row : row + 3, column : column + 3] += positive[row, column]
    np.testing.assert_allclose(saliency, expected, atol=1e-4)


def slow(method, weights, x):
    """Dense layers with ReLUs between, forwards and backwards."""
    entering = []
    for w in weights[:-1]:
        entering.append(w @ x)
        x = np.maximum(entering[-1], 0)
    g = weights[-1][0]
    for w, z in zip(weights[-2::-1], entering[::-1], strict=True):
        g = np.maximum(g, 0)
        if method == "guided":
            g = g * (z > 0)
        g = w.T @ g
    return g


def dense(relu, weights, images):
    x = images.reshape(len(images), -1)
    for w in weights[:-1]:
        x = relu(x @ w.T)
    return x @ weights[-1].T


def weights_and_image(seed=0):
    draw = np.random.default_rng(seed)
    weights = [draw.normal(size=s) for s in ((9, 12), (7, 9), (3, 7))]
    return weights, draw.normal(size=(2, 2, 3))


@jax.custom_jvp
def own_jvp(x):
    return jnp.maximum(x, 0)


own_jvp.defjvp(lambda x, t: (own_jvp(x[0]), 5 * t[0]))


@jax.custom_vjp
def own_vjp(x):
    return 2 * jnp.where(x > 0, x, 0.0) / 2


own_vjp.defvjp(lambda x: (own_vjp(x), None), lambda _, g: (5 * g,))

RELUS = {
    "jax.nn": jax.nn.relu,
    "flax": nnx.relu,
    "maximum": lambda x: jnp.maximum(x, 0),
    "maximum, other way round": lambda x: jnp.maximum(jnp.zeros_like(x), x),
    "integer bound": lambda x: jnp.maximum(0, x),
    "where": lambda x: jnp.where(x > 0, x, 0),
    "where, negated": lambda x: jnp.where(x < 0, jnp.zeros_like(x), x),
    "where, other way round": lambda x: jnp.where(jnp.zeros(()) <= x, x, 0.0),
    "product": lambda x: x * (x > 0),
    "clip": lambda x: jnp.clip(x, 0, None),
    "clip, two bounds": lambda x: jnp.clip(x, 0, 1e3),
    "clamp": lambda x: lax.clamp(0.0, x, 1e3),
    "relu6": lambda x: 1e3 * jax.nn.relu6(x / 1e3),
    "jit": jax.jit(jax.jit(jax.nn.relu)),
    "remat": jax.checkpoint(jax.nn.relu),
    "vmap": jax.vmap(jax.nn.relu),
    "map": lambda x: lax.map(jax.nn.relu, x),
    "scan": lambda x: lax.scan(lambda c, _: (jnp.where(c > 0, c, 0), None), x, None, length=1)[0],
    "cond": lambda x: lax.cond(x.shape[0] > 0, jax.nn.relu, jnp.sin, x),
    "cond, traced": lambda x: lax.cond(x.sum() < 1e9, jax.nn.relu, jnp.sin, x),
    "own jvp": own_jvp,
    "own vjp": own_vjp,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spelling", RELUS)
def test_every_spelling_equals_a_slow_loop(spelling, method):
    weights, image = weights_and_image()
    classifier = partial(dense, RELUS[spelling], [jnp.float32(w) for w in weights])
    found = METHODS[method](KEY, classifier, jnp.float32(image), 0)
    expected = slow(method, weights, image.ravel()).reshape(image.shape)
    np.testing.assert_allclose(found.info.gradient, expected, atol=1e-4)
    np.testing.assert_allclose(found.saliency, np.abs(expected).max(-1), atol=1e-4)
    plain = jax.grad(lambda x: classifier(x[None])[0, 0])(jnp.float32(image))
    assert np.abs(plain - expected).max() > 1e-2


KEPT = {
    "leaky": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "softplus": jax.nn.softplus,  # which computes a maximum with 0 inside
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "abs": jnp.abs,
    "minimum": lambda x: jnp.minimum(x, 0),
    "bound above 0": lambda x: jnp.maximum(x, 0.1),
    "another's sign": lambda x: jnp.where(x[:, ::-1] > 0, x, 0),
    "hard tanh": jax.nn.hard_tanh,
}


@pytest.mark.parametrize("name", KEPT)
def test_other_activations_keep_their_gradient(name):
    weights, image = weights_and_image()
    classifier = partial(dense, KEPT[name], [jnp.float32(w) for w in weights])
    plain = jax.grad(lambda x: classifier(x[None])[0, 0])(jnp.float32(image))
    for method in METHODS.values():
        found = method(KEY, classifier, jnp.float32(image), 0).info.gradient
        np.testing.assert_allclose(found, plain, atol=1e-5)


def test_relu6_keeps_its_upper_bound():
    """At 7 the gradient is 0, for all that it is positive."""
    image = jnp.array([-1.0, 2, 7]).reshape(1, 3, 1)

    def classifier(images):
        return beside_zero(jax.nn.relu6(images).sum((1, 2)))

    for name, expected in (("deconvnet", [1, 1, 0]), ("guided", [0, 1, 0])):
        found = METHODS[name](KEY, classifier, image, 0)
        np.testing.assert_array_equal(found.info.gradient.ravel(), expected)


def test_at_0_a_relu_is_not_active():
    for relu in (jax.nn.relu, lambda x: jnp.maximum(x, 0), lambda x: jnp.where(x >= 0, x, 0)):
        found = guided_gradient(
            lambda x, r=relu: beside_zero(r(x).sum((1, 2))), jnp.zeros((2, 2, 1)), 0
        )
        np.testing.assert_array_equal(found, 0)


def test_an_activation_may_be_reused_and_stand_in_a_residual_sum():
    weights, image = weights_and_image()
    w = jnp.float32(weights[0][:9, :9])
    relu = jax.nn.relu

    def classifier(images):
        x = images.reshape(len(images), -1)[:, :9]
        return relu(relu(x) @ w - x) + x

    found = guided_gradient(classifier, jnp.float32(image), 4).ravel()
    x = image.ravel()[:9].astype(np.float32)
    inner = np.maximum(x, 0) @ np.asarray(w) - x
    g = np.eye(9)[4]
    through = np.maximum(g, 0) * (inner > 0)
    expected = g - through + np.maximum(np.asarray(w) @ through, 0) * (x > 0)
    np.testing.assert_allclose(found[:9], expected, atol=1e-5)


def test_a_custom_derivative_without_a_relu_is_kept():
    @jax.custom_vjp
    def reversed_gradient(x):
        return 1.0 * x

    reversed_gradient.defvjp(lambda x: (x, None), lambda _, g: (-g,))

    def classifier(x):
        return beside_zero(reversed_gradient(x).sum((1, 2)))

    found = guided_gradient(classifier, jnp.ones((2, 2, 1)), 0)
    np.testing.assert_array_equal(found, -1)


def test_networks_of_other_libraries():
    """Equinox vmaps its own ReLU; the shipped residual network has no other."""
    module = eqx.nn.MLP(12, 3, 8, 2, activation=jax.nn.relu, key=KEY)
    image = jax.random.normal(KEY, (2, 2, 3))

    def classifier(images):
        return jax.vmap(module)(images.reshape(len(images), -1))

    weights = [np.asarray(layer.weight) for layer in module.layers]
    biases = [np.asarray(layer.bias) for layer in module.layers]
    x, entering = np.asarray(image).ravel(), []
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        entering.append(w @ x + b)
        x = np.maximum(entering[-1], 0)
    g = weights[-1][1]
    for w, z in zip(weights[-2::-1], entering[::-1], strict=True):
        g = w.T @ (np.maximum(g, 0) * (z > 0))
    np.testing.assert_allclose(guided_gradient(classifier, image, 1).ravel(), g, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_transformations_go_through(method):
    network = networks.load("mnist")
    images = jax.random.uniform(KEY, (3, 28, 28, 1))
    targets = jnp.array([1, 4, 8])
    members = [jax.tree.map(lambda w, s=s: s * w, network.classifier) for s in (1, 0.5, -1)]
    ensemble = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)

    def one(classifier, image, target):
        return METHODS[method](KEY, classifier, image, target, score="log_odds").saliency

    together = jax.jit(jax.vmap(one))(ensemble, images, targets)
    alone = jax.jit(one)
    for i, member in enumerate(members):
        np.testing.assert_allclose(together[i], alone(member, images[i], targets[i]), atol=1e-5)
        rewritten = alone(cpu.fast(member), images[i], targets[i])
        np.testing.assert_allclose(together[i], rewritten, atol=1e-5)


def test_any_function_may_have_another_relu(float64):
    """Also with any further derivative: here the plain one, of a ReLU that is none."""
    relu = rectifier.with_relu(lambda x: x * jax.nn.sigmoid(x), lambda x: {"y": jax.nn.relu(3 * x)})
    x = jnp.linspace(-1, 1, 5)
    np.testing.assert_allclose(relu(x)["y"], jax.nn.silu(3 * x), atol=1e-12)
    np.testing.assert_allclose(
        jax.jacfwd(lambda x: relu(x)["y"])(x),
        jax.jacrev(lambda x: jax.nn.silu(3 * x))(x),
        atol=1e-12,
    )


@pytest.mark.parametrize("method", METHODS.values())
def test_bad_options_are_named(method, planted):
    with pytest.raises(ValueError, match="score: there is no 'loss'"):
        method(KEY, planted, jnp.zeros((12, 12, 3)), 0, score="loss")
    gradient = method(KEY, Partial(planted), jnp.zeros((12, 12, 3)), 0).info.gradient
    np.testing.assert_array_equal(gradient, planted.args[0])  # no ReLU: the plain gradient
