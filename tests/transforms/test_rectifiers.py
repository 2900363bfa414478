"""Clamps of variances are no ReLUs: guided backprop and deconvnet leave normalisations alone."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from fidojax.transforms import relu as rectifier

KEY = jax.random.key(0)
X = 2 + jax.random.normal(KEY, (2, 6, 6, 4))
LAST = jax.random.normal(jax.random.key(1), (6, 6, 3))


def nnx_layer(layer):
    graph, state = nnx.split(layer)
    return lambda x: nnx.merge(graph, state, copy=True)(x)


def trained(layer):
    """A layer of Linen with its initial parameters."""
    variables = layer.init(KEY, X)
    return lambda x: layer.apply(variables, x, mutable=["batch_stats"])[0]


def equinox(layer):
    """One example at a time, channels first."""
    return lambda x: jax.vmap(lambda x: layer(x.transpose(2, 0, 1)).transpose(1, 2, 0))(x)


def equinox_batch(mode):
    layer, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(4, "batch", mode=mode)

    def apply(x):
        each = jax.vmap(layer, (0, None), (0, None), axis_name="batch")
        return each(x.transpose(0, 3, 1, 2), state)[0].transpose(0, 2, 3, 1)

    return apply


def keras(name, **options):
    import keras

    layer = getattr(keras.layers, name)(**options)
    layer.build(X.shape)
    weights = (
        [v.value for v in layer.trainable_variables],
        [v.value for v in layer.non_trainable_variables],
    )
    return lambda x: layer.stateless_call(*weights, x)[0]


RNGS = nnx.Rngs(0)
NORMALISATIONS = {
    "nnx LayerNorm": lambda: nnx_layer(nnx.LayerNorm(4, rngs=RNGS)),
    "nnx LayerNorm, slow": lambda: nnx_layer(nnx.LayerNorm(4, use_fast_variance=False, rngs=RNGS)),
    "nnx RMSNorm": lambda: nnx_layer(nnx.RMSNorm(4, rngs=RNGS)),
    "nnx GroupNorm": lambda: nnx_layer(nnx.GroupNorm(4, num_groups=2, rngs=RNGS)),
    "nnx InstanceNorm": lambda: nnx_layer(nnx.InstanceNorm(4, rngs=RNGS)),
    "nnx BatchNorm, training": lambda: nnx_layer(nnx.BatchNorm(4, rngs=RNGS)),
    "nnx BatchNorm": lambda: nnx_layer(nnx.BatchNorm(4, use_running_average=True, rngs=RNGS)),
    "nnx WeightNorm": lambda: nnx_layer(nnx.WeightNorm(nnx.Linear(4, 5, rngs=RNGS), rngs=RNGS)),
    "nnx SpectralNorm": lambda: nnx_layer(nnx.SpectralNorm(nnx.Linear(4, 5, rngs=RNGS), rngs=RNGS)),
    "linen LayerNorm": lambda: trained(nn.LayerNorm()),
    "linen RMSNorm": lambda: trained(nn.RMSNorm()),
    "linen GroupNorm": lambda: trained(nn.GroupNorm(2)),
    "linen InstanceNorm": lambda: trained(nn.InstanceNorm()),
    "linen BatchNorm, training": lambda: trained(nn.BatchNorm(False)),
    "linen BatchNorm": lambda: trained(nn.BatchNorm(True)),
    "linen WeightNorm": lambda: trained(nn.WeightNorm(nn.Dense(5))),
    "equinox LayerNorm": lambda: equinox(eqx.nn.LayerNorm((4, 6, 6))),
    "equinox RMSNorm": lambda: equinox(eqx.nn.RMSNorm((4, 6, 6))),
    "equinox GroupNorm": lambda: equinox(eqx.nn.GroupNorm(2, 4)),
    "equinox BatchNorm, ema": lambda: equinox_batch("ema"),
    "equinox BatchNorm, batch": lambda: equinox_batch("batch"),
    "keras LayerNormalization": lambda: keras("LayerNormalization"),
    "keras LayerNormalization, rms": lambda: keras("RMSNormalization"),
    "keras GroupNormalization": lambda: keras("GroupNormalization", groups=2),
    "keras InstanceNormalization": lambda: keras("GroupNormalization", groups=-1),
    "keras BatchNormalization": lambda: keras("BatchNormalization"),
    "keras UnitNormalization": lambda: keras("UnitNormalization", axis=(1, 2, 3)),
}


def gradient(function):
    """Of a loss that weighs all outputs differently, with both signs."""

    def loss(x):
        y = function(x)
        return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum()

    return jax.jit(jax.grad(loss))(X)


def check_has_no_relu(function):
    expected = gradient(function)
    assert float(jnp.abs(expected).max()) > 1e-3
    found = gradient(rectifier.with_relu(rectifier.guided, function))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_a_normalisation_has_no_relu(name):
    check_has_no_relu(NORMALISATIONS[name]())


def variance(x):
    return (x**2).mean((1, 2), keepdims=True) - x.mean((1, 2), keepdims=True) ** 2


def normalise(scale):
    """The values less their mean, times a function of their variance."""
    return lambda x: (x - x.mean((1, 2), keepdims=True)) * scale(variance(x))


@jax.custom_jvp
def with_own_derivative(x):
    return normalise(lambda v: lax.rsqrt(jnp.maximum(v, 0) + 1))(x)


with_own_derivative.defjvp(lambda x, t: (with_own_derivative(*x), 3 * t[0]))


def in_a_loop(x):
    return lax.scan(lambda x, _: (CLAMPS["rsqrt"](x), None), x, None, length=2)[0]


CLAMPS = {
    "rsqrt": normalise(lambda v: lax.rsqrt(jnp.maximum(v, 0) + 1e-3)),
    "quotient": normalise(lambda v: 1 / jnp.sqrt(jnp.maximum(0.0, v) + 1e-3)),
    "divisor": normalise(lambda v: 2 / (jnp.sqrt(jnp.maximum(0.0, v)) + 1e-3)),
    "variance itself as a divisor": normalise(lambda v: 1 / (jnp.maximum(v, 0) + 1)),
    "power": normalise(lambda v: (jnp.clip(v, 0) + 1) ** -0.5),
    "where": normalise(lambda v: lax.rsqrt(jnp.where(v > 0, v, 0) + 1)),
    "product": normalise(lambda v: lax.rsqrt(v * (v > 0) + 1)),
    "jax.nn.relu": normalise(lambda v: lax.rsqrt(3 * jax.nn.relu(v) + 1)),
    "clamp": normalise(lambda v: lax.rsqrt(lax.clamp(0.0, v, 9.0) + 1)),
    "twice": normalise(lambda v: lax.rsqrt(jnp.maximum(jnp.maximum(v, 0), 1e-6))),
    "per group": lambda x: normalise(lambda v: lax.rsqrt(jnp.maximum(v.mean(0), 0) + 1))(x),
    "jit": jax.jit(normalise(lambda v: lax.rsqrt(jax.jit(jax.nn.relu)(v) + 1))),
    "remat": jax.checkpoint(normalise(lambda v: lax.rsqrt(jax.nn.relu(v) + 1))),
    "vmap": jax.vmap(lambda x: CLAMPS["rsqrt"](x[None])[0]),
    "scan": in_a_loop,
    "cond": lambda x: lax.cond(x.sum() > 0, CLAMPS["rsqrt"], jnp.sin, x),
    "own derivative": with_own_derivative,
    "deviation as a feature": lambda x: jnp.concatenate(
        [x.mean((1, 2), keepdims=True), jnp.sqrt(jnp.maximum(variance(x), 0))], -1
    ),
    "sum of products": lambda x: (
        x / jnp.sqrt(jnp.maximum(jnp.einsum("nhwc,nhwc->n", x, x), 0))[:, None, None, None]
    ),
    "of weights": lambda x: x * lax.rsqrt(jnp.maximum(KERNEL.var(0), 0) + jax.nn.relu(KERNEL[0])),
}


@pytest.mark.parametrize("name", CLAMPS)
def test_a_clamp_of_a_variance_is_no_relu(name):
    check_has_no_relu(CLAMPS[name])


KERNEL = jax.random.normal(jax.random.key(2), (4, 4))


def squeeze_and_excite(relu, x):
    return x * jax.nn.sigmoid(relu(x.mean((1, 2), keepdims=True) @ KERNEL - 1) @ KERNEL)


def normalised_before_and_after(relu, x):
    return CLAMPS["rsqrt"](relu(CLAMPS["jax.nn.relu"](x) @ KERNEL))


RELUS = {
    "after a normalisation": lambda relu, x: relu(CLAMPS["rsqrt"](x)) @ KERNEL,
    "between normalisations": normalised_before_and_after,
    "after global pooling": lambda relu, x: relu(x.mean((1, 2))) @ KERNEL,
    "after pooling of squares": lambda relu, x: relu((x**2).mean((1, 2)) - 3) @ KERNEL,
    "in a gate": squeeze_and_excite,
    "in a gate of second moments": lambda relu, x: x * relu(8 - (x**2).mean((1, 2), keepdims=True)),
    "under a root, of squares": lambda relu, x: jnp.sqrt(relu(x**2 - 3) + 1) @ KERNEL,
    "under a root": lambda relu, x: jnp.sqrt(relu(x @ KERNEL) + 1),
    "of a mean in a divisor": lambda relu, x: x / (1 + relu(x.mean((1, 2), keepdims=True))),
    "in a logarithm": lambda relu, x: jnp.log1p(relu(x @ KERNEL)),
    "of attention": lambda relu, x: (
        relu(x @ KERNEL) / (1 + relu(x @ KERNEL).sum(-1, keepdims=True))
    ),
    "of a gate that divides": lambda relu, x: (
        x / (1 + relu(x.mean((1, 2), keepdims=True) @ KERNEL))
    ),
    "also as a value": lambda relu, x: (lambda v: jnp.concatenate([v, lax.rsqrt(v + 1)], -1))(
        relu((x**2).mean((1, 2)) - 3)
    ),
    "a ReLU network's last": lambda relu, x: relu(relu(x @ KERNEL).sum((1, 2)) @ KERNEL),
    "in a loop": lambda relu, x: lax.scan(
        lambda x, _: (relu(CLAMPS["rsqrt"](x)) @ KERNEL, None), x, None, length=2
    )[0],
}


@pytest.mark.parametrize("name", RELUS)
def test_a_relu_beside_statistics_is_one(name):
    function = RELUS[name]
    plain = gradient(lambda x: function(jax.nn.relu, x))
    for relu in (rectifier.guided, rectifier.deconvnet):
        expected = gradient(lambda x, r=relu: function(r, x))
        found = gradient(rectifier.with_relu(relu, lambda x: function(jax.nn.relu, x)))
        assert float(jnp.abs(expected - plain).max()) > 1e-3
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
