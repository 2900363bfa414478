"""Layers by name, wherever a network calls them: nested models, `jit`, `remat`, `vmap`, `scan`."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from fidojax import grad_cam, networks
from fidojax.networks.keras import last_features

os.environ.setdefault("KERAS_BACKEND", "jax")

IMAGES = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)


class Case(NamedTuple):
    """A network with a layer, and the same computed in two parts by hand."""

    classifier: Any
    features: Callable
    head: Callable


class Block(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(4, 4, (3, 3), rngs=rngs)

    def __call__(self, x):
        return x + nnx.relu(self.conv(x))


class Scanned(nnx.Module):
    """Three blocks in one scan, and one more under remat and jit."""

    def __init__(self, rngs):
        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=(0,))
        def blocks(rngs):
            return Block(rngs)

        self.stem = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.blocks, self.last = blocks(rngs), Block(rngs)
        self.dense = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        def through(x, block):
            return block(x)

        x = through(self.stem(x), self.blocks)
        x = nnx.jit(nnx.remat(lambda block, x: block(x)))(self.last, x)
        return self.dense(x.mean((1, 2)))


def block_of(net, i):
    return jax.tree.map(lambda leaf: leaf[i], nnx.state(net.blocks))


def apply(state, x):
    kernel, bias = state["conv"]["kernel"][...], state["conv"]["bias"][...]
    y = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return x + jax.nn.relu(y + bias)


def in_nnx_scan():
    net = Scanned(nnx.Rngs(0))

    def features(x):
        x = net.stem(x)
        for i in range(2):
            x = apply(block_of(net, i), x)
        return x

    def head(x):
        x = net.last(apply(block_of(net, 2), x))
        return net.dense(x.mean((1, 2)))

    return Case(networks.from_nnx(net, layer="blocks:1"), features, head)


def in_nnx_remat_and_jit():
    net = Scanned(nnx.Rngs(0))

    def features(x):
        x = net.stem(x)
        for i in range(3):
            x = apply(block_of(net, i), x)
        return net.last(x)

    return Case(networks.from_nnx(net, layer="last"), features, lambda x: net.dense(x.mean((1, 2))))


class LinenBlock(linen.Module):
    @linen.compact
    def __call__(self, x, _):
        return x + linen.relu(linen.Conv(4, (3, 3))(x)), None


class LinenScanned(linen.Module):
    @linen.compact
    def __call__(self, x):
        how: Any = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}, "length": 3}
        scanned: Any = linen.scan(LinenBlock, **how)
        x, _ = scanned(name="blocks")(linen.Conv(4, (3, 3), name="stem")(x), None)
        again: Any = linen.remat(LinenBlock)
        x, _ = again(name="last")(x, None)
        return linen.Dense(3)(x.mean((1, 2)))


def in_linen_scan():
    net = LinenScanned()
    variables = net.init(jax.random.key(0), IMAGES)
    params = variables["params"]

    def block(x, i=None):
        part = params["last"] if i is None else jax.tree.map(lambda p: p[i], params["blocks"])
        return apply({"conv": part["Conv_0"]}, x)

    def features(x):
        x = linen.Conv(4, (3, 3)).apply({"params": params["stem"]}, x)
        return block(block(block(x, 0), 1), 2)

    def head(x):
        return linen.Dense(3).apply({"params": params["Dense_0"]}, block(x).mean((1, 2)))

    return Case(networks.from_linen(net, variables, layer="blocks:2"), features, head)


def in_linen_remat():
    net = LinenScanned()
    variables = net.init(jax.random.key(0), IMAGES)
    dense = {"params": variables["params"]["Dense_0"]}

    def features(x):
        case = in_linen_scan()
        part = variables["params"]["last"]["Conv_0"]
        return apply({"conv": part}, case.features(x))

    classifier = networks.from_linen(net, variables, layer="last")
    return Case(classifier, features, lambda x: linen.Dense(3).apply(dense, x.mean((1, 2))))


def keras_base(keras):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="first")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(4, 3, name="second")(x) + 1, name="base")


def a_keras_case(model, layer, base, rest, until="second"):
    keras = networks.import_keras()
    found = base.get_layer(until)
    upto = keras.Model(base.input, found.output)
    after = keras.Model(found.output, base.output)

    def features(x):
        return jnp.asarray(upto(x))

    return Case(networks.from_keras(model, layer=layer), features, lambda a: rest(after(a)))


def in_a_keras_sequential():
    keras = pytest.importorskip("keras", reason="needs the extra [keras]")
    base, layers = keras_base(keras), keras.layers
    dense = layers.Dense(3)
    parts = [keras.Input((8, 8, 3)), base, layers.GlobalAveragePooling2D(), dense]
    model = keras.Sequential(parts)
    rest = lambda a: jnp.asarray(dense(a.mean((1, 2))))  # noqa: E731
    return a_keras_case(model, "base.second", base, rest)


def in_a_keras_graph():
    keras = pytest.importorskip("keras", reason="needs the extra [keras]")
    base, inputs = keras_base(keras), keras.Input((8, 8, 3))
    dense = keras.layers.Dense(3)
    model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(base(inputs))))
    rest = lambda a: jnp.asarray(dense(a.mean((1, 2))))  # noqa: E731
    return a_keras_case(model, "base.first", base, rest, "first")


def in_a_keras_subclass():
    keras = pytest.importorskip("keras", reason="needs the extra [keras]")

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.base, self.dense = keras_base(keras), keras.layers.Dense(3)

        def call(self, x):
            return self.dense(keras.ops.mean(self.base(x), (1, 2)))

    model: Any = Net()
    model(IMAGES)
    rest = lambda a: jnp.asarray(model.dense(a.mean((1, 2))))  # noqa: E731
    return a_keras_case(model, "base.second", model.base, rest)


CASES = [
    in_nnx_scan, in_nnx_remat_and_jit, in_linen_scan, in_linen_remat,
    in_a_keras_sequential, in_a_keras_graph, in_a_keras_subclass,
]  # fmt: skip


@pytest.mark.parametrize("build", CASES)
def test_a_layer_is_reached_where_it_is_called(build):
    case = build()
    activations, rest = case.classifier.tap(IMAGES)
    np.testing.assert_allclose(activations, case.features(IMAGES), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rest(activations), case.classifier(IMAGES), rtol=1e-4, atol=1e-5)
    other = 0.5 * activations + 1
    np.testing.assert_allclose(rest(other), case.head(other), rtol=1e-4, atol=1e-5)
    found = jax.jit(lambda c, x: grad_cam(jax.random.key(0), c, x, 1))(case.classifier, IMAGES[0])
    slopes = jax.grad(lambda a: case.head(a)[0, 1])(activations[:1])
    np.testing.assert_allclose(found.info.weights, slopes.mean((0, 1, 2)), rtol=1e-3, atol=1e-6)


def test_an_equinox_module_takes_options_and_names_its_layers():
    """The argument `inference`, a key that it splits, and features that are "c h w" inside."""
    eqx = pytest.importorskip("equinox", reason="needs the extra [equinox]")

    class Drops(eqx.Module):
        conv: Any
        drop: Any

        def __call__(self, x, key, inference=None):
            return x + self.drop(self.conv(x), key=key, inference=inference)

    class Net(eqx.Module):
        blocks: list
        dense: Any

        def __call__(self, x, key, inference=None, scale=1.0):
            for block, one in zip(self.blocks, jax.random.split(key, 2), strict=True):
                x = block(x, one, inference)
            return scale * self.dense(x.mean((1, 2)))

    keys = jax.random.split(jax.random.key(0), 3)
    convs = [eqx.nn.Conv2d(3, 3, 3, padding=1, key=key) for key in keys[:2]]
    drop = eqx.nn.Dropout(0.5)
    dense = eqx.nn.Linear(3, 3, key=keys[2])
    net = Net([Drops(conv, drop) for conv in convs], dense)

    def block(i, images):
        x = jnp.moveaxis(images, -1, 1)
        return jnp.moveaxis(x + jax.vmap(convs[i])(x), 1, -1)

    def head(x):
        return jax.vmap(dense)(x.mean((1, 2)))

    classifier: Any = networks.from_equinox(net, layer="blocks.0")
    activations, rest = classifier.tap(IMAGES)
    np.testing.assert_allclose(activations, block(0, IMAGES), rtol=1e-4, atol=1e-5)
    other = 0.5 * activations + 1
    np.testing.assert_allclose(rest(other), head(block(1, other)), rtol=1e-4, atol=1e-5)
    logits = head(block(1, block(0, IMAGES)))
    np.testing.assert_allclose(classifier(IMAGES), logits, rtol=1e-4, atol=1e-5)
    trained = networks.from_equinox(net, options={"inference": False, "scale": 2.0})
    assert not np.allclose(trained(IMAGES), 2 * logits, rtol=1e-2)  # dropout is active
    scaled = networks.from_equinox(net, options={"scale": 2.0})
    np.testing.assert_allclose(scaled(IMAGES), 2 * logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"there is no 'blocks\.2'; did you mean blocks\.1"):
        networks.from_equinox(net, layer="blocks.2")


def test_a_call_that_does_not_happen_is_named():
    net = Scanned(nnx.Rngs(0))
    classifier: Any = networks.from_nnx(net, layer="blocks.conv:3")
    with pytest.raises(ValueError, match=r"calls 'blocks\.conv' 3 times, counted from 0"):
        classifier.tap(IMAGES)
    with pytest.raises(ValueError, match=r"no 'blocks\.cov'; did you mean blocks\.conv"):
        networks.from_nnx(net, layer="blocks.cov:1")


def test_a_layer_inside_a_loop_of_unknown_length_is_named():
    class Loops(nnx.Module):
        def __init__(self):
            self.block = Block(nnx.Rngs(0))

        def __call__(self, x):
            block = nnx.split(self.block)
            body = lambda state: (state[0] + 1, nnx.merge(*block)(state[1]))  # noqa: E731
            return jax.lax.while_loop(lambda state: state[0] < 3, body, (0, x))[1].mean((1, 2))

    classifier: Any = networks.from_nnx(Loops(), layer="block")
    images = np.zeros((1, 4, 4, 4), np.float32)
    with pytest.raises(ValueError, match="calls 'block' inside a while, where its output cannot"):
        classifier.tap(images)


def test_a_layer_called_by_its_class_is_named_from_inside():
    class Unbound(nnx.Module):
        def __init__(self):
            self.block = Block(nnx.Rngs(0))

        def __call__(self, x):
            return nnx.remat(Block.__call__)(self.block, x).mean((1, 2))

    net, images = Unbound(), jnp.ones((1, 4, 4, 4))
    outside: Any = networks.from_nnx(net, layer="block")
    with pytest.raises(ValueError, match=r"called by its class, as .*, name a layer inside it"):
        outside.tap(images)
    inside: Any = networks.from_nnx(net, layer="block.conv")
    np.testing.assert_allclose(inside.tap(images)[0], net.block.conv(images), rtol=1e-5)


def test_the_last_features_of_a_nested_keras_model_and_of_a_sum():
    keras = pytest.importorskip("keras", reason="needs the extra [keras]")
    base, layers = keras_base(keras), keras.layers
    parts = [base, layers.GlobalAveragePooling2D(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *parts])
    name = last_features(model) or ""
    assert name.startswith("base.add")  # the sum behind "second", which is no layer
    classifier: Any = networks.from_keras(model, layer=name)
    activations, _ = classifier.tap(IMAGES)
    np.testing.assert_allclose(activations, base(IMAGES), rtol=1e-4, atol=1e-5)
