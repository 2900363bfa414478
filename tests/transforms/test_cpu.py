"""The CPU rewrite: the same values and gradients as XLA's own operations, in float64."""

import functools
import itertools
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from jax.tree_util import Partial

from fidojax.networks import MnistAllConv, ResNet, from_nnx
from fidojax.transforms import cpu
from fidojax.transforms.cpu import convolution, taps, winograd

OPTIMISED = pytest.mark.usefixtures("optimised")
"""Winograd's form is only taken where XLA optimises it."""

os.environ.setdefault("KERAS_BACKEND", "jax")

DRAW = np.random.default_rng(0)
NHWC = ("NHWC", "HWIO", "NHWC")


def normal(*shape):
    return jnp.asarray(DRAW.normal(size=shape))


def stock_conv(x, kernel, strides, pads, groups=1):
    return lax.conv_general_dilated(
        x, kernel, strides, pads, dimension_numbers=NHWC, feature_group_count=groups
    )


def agree(ours, stock, *arguments, atol=1e-12):
    """Values and gradients to every argument, through a random direction of the output."""
    shape = jax.eval_shape(stock, *arguments)
    g = normal(*shape.shape).astype(shape.dtype)

    def both(function):
        value, pull_back = jax.vjp(function, *arguments)
        return value, pull_back(g)

    value, gradients = jax.jit(both, static_argnums=0)(ours)
    expected, expected_gradients = jax.jit(both, static_argnums=0)(stock)
    np.testing.assert_allclose(value, expected, rtol=atol, atol=atol)
    for one, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=10 * atol, atol=10 * atol)


# Strides above the kernel, remainders, padding on one side, kernels above the input.
SIZES, KERNELS = (2, 5, 6), (1, 2, 3, 5)
PADS = ((0, 0), (1, 1), (0, 2), (3, 1))
GRID = [
    (n, k, s, p)
    for n, k, s, p in itertools.product(SIZES, KERNELS, (1, 2, 3), PADS)
    if n + sum(p) >= k
]


@pytest.mark.parametrize(("n", "k", "s", "p"), GRID[::7])
def test_convolutions(float64, n, k, s, p):
    # The other axis differs in everything, so that a swap of the two would show.
    size, window, strides, pads = (n, 7), (k, 3), (s, 2), (p, (1, 0))
    agree(
        lambda x, w: convolution.conv(x, w, strides, pads),
        lambda x, w: stock_conv(x, w, strides, pads),
        normal(2, *size, 3),
        normal(*window, 3, 4),
    )


@OPTIMISED
@pytest.mark.parametrize("p", [(0, 0), (1, 0), (3, 1)])
def test_winograd_of_odd_and_even_sizes(float64, monkeypatch, p):
    monkeypatch.setattr(winograd, "CHANNELS", 1)
    monkeypatch.setattr(winograd, "TILES", 1)
    pads = (p, (1, 1))
    stock = functools.partial(stock_conv, strides=(1, 1), pads=pads)
    x, kernel = normal(2, 6, 7, 3), normal(3, 3, 3, 4)
    agree(lambda x, w: convolution.conv(x, w, (1, 1), pads), stock, x, kernel)
    # 4 outputs of 3 x 3 taps take 16 products each way, and no convolution.
    text = str(jax.make_jaxpr(lambda x: convolution.conv(x, kernel, (1, 1), pads))(x))
    assert text.count("dot_general") == 17  # one transforms the kernel
    assert "conv_general_dilated" not in text


@pytest.mark.parametrize(("n", "k", "s", "p"), [case for case in GRID if case[1] in (2, 3)][::5])
def test_taps_of_tiny_pictures(float64, monkeypatch, n, k, s, p):
    monkeypatch.setattr(taps, "pays", lambda *shapes: True)
    strides, pads = (s, 2), (p, (1, 0))
    agree(
        lambda x, w: convolution.conv(x, w, strides, pads),
        lambda x, w: stock_conv(x, w, strides, pads),
        normal(2, n, 7, 3),
        normal(k, 3, 3, 4),
    )


@OPTIMISED
def test_which_form_a_convolution_takes():
    def form(size, channels, n=4, window=3, stride=1, c_in=None):
        c_in = c_in or channels
        x = jnp.zeros((n, size, size, c_in))
        kernel = jnp.zeros((window, window, c_in, channels))
        pads = ((window // 2, window // 2),) * 2
        run = functools.partial(convolution.conv, strides=(stride, stride), pads=pads)
        text = str(jax.make_jaxpr(run)(x, kernel))
        return text.count("dot_general"), text.count("conv_general_dilated[")

    assert form(8, 64) == (17, 0)  # Winograd's
    assert form(8, 63) == (0, 1)  # too few channels
    assert form(8, 64, n=3) == (0, 1)  # too few tiles
    assert form(8, 64, window=5) == (0, 1)
    assert form(8, 64, stride=2) == (9, 0)  # its output has 4 x 4 pixels: one product per tap
    assert form(4, 64, n=1) == (9, 0)
    assert form(5, 64, n=1) == (0, 1)
    assert form(4, 63) == (0, 1)
    assert form(8, 64, window=1) == (1, 0)


@OPTIMISED
def test_float32_of_winograd_is_as_exact_as_stock():
    x, kernel = normal(4, 12, 12, 64).astype(jnp.float32), normal(3, 3, 64, 64).astype(jnp.float32)
    pads = ((1, 1), (1, 1))
    assert winograd.pays(x.shape, kernel.shape, x.dtype)
    agree(
        lambda x: convolution.conv(x, kernel / 24, (1, 1), pads),  # of standard deviation 1
        lambda x: stock_conv(x, kernel / 24, (1, 1), pads),
        x,
        atol=1e-5,
    )


@pytest.mark.parametrize(("window", "c_in"), [(4, 12), (3, 3)])
def test_strided_convolutions_of_few_channels_go_by_blocks(window, c_in):
    run = functools.partial(convolution.conv, strides=(2, 2), pads=((1, 1), (1, 1)))
    x, kernel = jnp.zeros((2, 16, 16, 3)), jnp.zeros((window, window, 3, 24))
    text = jax.jit(run).lower(x, kernel).as_text()
    (line,) = (line for line in text.splitlines() if "stablehlo.convolution" in line)
    assert f"x{c_in}x24xf32>" in line  # the kernel's channels: those of a block where 2 divides 4


@pytest.mark.parametrize(("n", "k", "s", "p"), GRID[3::7])
def test_depthwise_convolutions(float64, n, k, s, p):
    size, window, strides, pads = (7, n), (3, k), (2, s), ((0, 1), p)
    agree(
        lambda x, w: convolution.depthwise(x, w, strides, pads),
        lambda x, w: stock_conv(x, w[:, :, None], strides, pads, groups=3),
        normal(2, *size, 3),
        normal(*window, 3),
    )


@pytest.mark.parametrize(("window", "stride", "pad"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1)])
def test_max_pools_with_ties(float64, window, stride, pad):
    sizes, strides, pads = (
        (1, window, 2, 1),
        (1, stride, 1, 1),
        ((0, 0), (pad, pad), (0, 1), (0, 0)),
    )
    x = jnp.asarray(DRAW.integers(0, 3, (2, 7, 6, 3)), jnp.float64)  # many equal neighbours
    agree(
        lambda x: convolution.max_pool(x, sizes[1:3], strides[1:3], pads[1:3]),
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, sizes, strides, pads),
        x,
    )


def mobile(weights, images):
    """Every operation that is rewritten, and some beside it."""
    x = stock_conv(2 * images - 1, weights["stem"], (2, 2), "SAME")
    x = jax.nn.relu(jax.jit(lambda x: x + weights["bias"])(x))
    x = jax.jit(lambda x: stock_conv(x, weights["depth"], (2, 2), "SAME", groups=6))(x)
    x = jax.nn.relu6(stock_conv(x, weights["point"], (1, 1), "VALID"))
    x = x.transpose(0, 3, 1, 2)  # channels first from here on
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3, 2), (1, 1, 2, 2), "SAME")
    # The kernel is larger than what is left of the image.
    x = lax.conv_general_dilated(x, weights["last"], (1, 1), "SAME")
    return x.mean((2, 3))


def weights_of_mobile(dtype=jnp.float64):
    shapes = {
        "stem": (3, 3, 3, 6),
        "bias": (6,),
        "depth": (3, 3, 1, 6),
        "point": (1, 1, 6, 8),
        "last": (4, 8, 5, 5),
    }
    return {name: normal(*shape).astype(dtype) for name, shape in shapes.items()}


def resnet():
    return ResNet(5, (4, 8), (1, 1), rngs=nnx.Rngs(0))


def mnist():
    return MnistAllConv(nnx.Rngs(0))


@pytest.mark.parametrize("which", ["function", "resnet", "mnist", "keras"])
def test_networks_keep_their_logits_and_gradients(float64, which):
    if which == "function":
        classifier, shape = Partial(mobile, weights_of_mobile()), (16, 16, 3)
    elif which == "keras":
        keras = pytest.importorskip("keras", reason="needs the extra [keras]")
        from fidojax.networks import from_keras

        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                layers.ZeroPadding2D(1),
                layers.DepthwiseConv2D(3, 2),
                layers.BatchNormalization(),
                layers.ReLU(6.0),
                layers.Conv2D(4, 3, 2, padding="same"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
        classifier, shape = from_keras(model), (16, 16, 3)
    else:
        build, shape = {"resnet": (resnet, (16, 16, 3)), "mnist": (mnist, (28, 28, 1))}[which]
        classifier = from_nnx(nnx.jit(build)())
    classifier = jax.tree.map(lambda x: x.astype(jnp.float64), classifier)
    images = jnp.asarray(DRAW.random((3, *shape)))
    tolerance = 1e-5 if which == "keras" else 1e-12  # Keras computes in float32
    ours = cpu.fast(classifier)
    agree(lambda x: ours(x), lambda x: classifier(x), images, atol=tolerance)  # hashable


def gradient(classifier, images):
    return jax.grad(lambda x: jnp.sum(classifier(x)[:, 1]))(images)


def test_transformations_go_through(float64):
    classifier = cpu.fast(Partial(mobile, weights_of_mobile()))
    images = jnp.asarray(DRAW.random((2, 3, 16, 16, 3)))
    one_by_one = jnp.stack([gradient(classifier, x) for x in images])
    over_images = jax.jit(jax.vmap(gradient, (None, 0)))(classifier, images)
    np.testing.assert_allclose(over_images, one_by_one, atol=1e-12)
    _, in_loop = jax.jit(lambda c: lax.scan(lambda _, x: (0, gradient(c, x)), 0, images))(
        classifier
    )
    np.testing.assert_allclose(in_loop, one_by_one, atol=1e-12)
    members = [cpu.fast(Partial(mobile, weights_of_mobile())) for _ in range(2)]
    ensemble = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    together = jax.vmap(gradient, (0, None))(ensemble, images[0])
    for ours, member in zip(together, members, strict=True):
        np.testing.assert_allclose(ours, gradient(member, images[0]), atol=1e-12)


def test_products_for_convolutions_go_through_vmap_in_scan(float64, monkeypatch):
    jax.clear_caches()  # programs that were traced by other rules
    monkeypatch.setattr(winograd, "CHANNELS", 1)
    monkeypatch.setattr(winograd, "TILES", 1)
    monkeypatch.setattr(taps, "pays", lambda out, kernel: max(out[1:3]) <= 4 and kernel[0] == 3)
    stock = jax.tree.map(lambda x: x.astype(jnp.float64), from_nnx(nnx.jit(resnet)()))
    images = jnp.asarray(DRAW.random((2, 2, 3, 16, 16, 3)))

    @jax.jit
    def gradients(classifier):
        each = jax.vmap(gradient, (None, 0))
        return lax.scan(lambda _, x: (0, each(classifier, x)), 0, images)[1]

    ours, theirs = (
        gradients.lower(classifier).as_text().count("stablehlo.convolution")
        for classifier in (cpu.fast(stock), stock)
    )
    assert ours < theirs / 2
    np.testing.assert_allclose(gradients(cpu.fast(stock)), gradients(stock), atol=1e-12)


def test_weights_have_gradients_too(float64):
    weights = weights_of_mobile()
    images = jnp.asarray(DRAW.random((2, 16, 16, 3)))

    def loss(weights, classifier_of):
        return jnp.sum(classifier_of(Partial(mobile, weights))(images)[:, 0] ** 2)

    ours, stock = (jax.grad(loss)(weights, wrap) for wrap in (cpu.fast, lambda c: c))
    for name, value in stock.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-10, atol=1e-10)


def test_equal_convolutions_are_traced_once(monkeypatch):
    traced = []
    pays = taps.pays
    monkeypatch.setattr(taps, "pays", lambda *shapes: traced.append(shapes) or pays(*shapes))

    def network(kernels, images):
        for kernel in kernels:
            images = stock_conv(images, kernel, (1, 1), "SAME")
        return images

    def gradient(classifier, images):
        return jax.grad(lambda images: classifier(images).sum())(images)

    def times(layers):
        traced.clear()
        jax.clear_caches()
        kernels = [jnp.ones((3, 3, 5, 5))] * layers
        jax.make_jaxpr(gradient)(cpu.fast(Partial(network, kernels)), jnp.ones((2, 9, 9, 5)))
        return len(traced)

    assert 0 < times(2) == times(6)


def test_new_weights_do_not_retrace():
    traces = []

    @jax.jit
    def traced(classifier, images):
        traces.append(1)
        return gradient(classifier, images)

    images = jnp.asarray(DRAW.random((2, 16, 16, 3)), jnp.float32)
    results = [
        traced(cpu.fast(Partial(mobile, weights_of_mobile(jnp.float32))), images) for _ in range(2)
    ]
    assert len(traces) == 1
    assert not np.allclose(*results)
    classifier = cpu.fast(Partial(mobile, weights_of_mobile(jnp.float32)))
    assert jax.tree.structure(cpu.fast(classifier)) == jax.tree.structure(classifier)


def slow_operations(classifier):
    """Which of them the compiled gradient has, inside a loop."""
    images = jnp.zeros((2, 2, 16, 16, 3), jnp.float32)
    loop = jax.jit(lambda c, xs: lax.map(lambda x: gradient(c, x), xs))
    text = loop.lower(classifier, images).compile().as_text() or ""
    marks = {
        "grouped": "feature_group_count=",
        "permuted": "01oi->",
        "pool": "select_and_scatter",
    }
    return {name for name, mark in marks.items() if mark in text}


def test_the_slow_operations_are_gone_on_the_cpu_only(monkeypatch):
    stock = Partial(mobile, weights_of_mobile(jnp.float32))
    everything = {"grouped", "permuted", "pool"}
    assert slow_operations(stock) == everything
    assert slow_operations(cpu.fast(stock)) == set()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    jax.clear_caches()
    assert slow_operations(cpu.fast(stock)) == everything
