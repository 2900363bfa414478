"""Grad-CAM: known answers, and classifiers that show their features in every framework."""

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import beside_zero
from flax import linen, nnx
from jax.tree_util import Partial

from fidojax import networks
from fidojax.core import HasFeatures, Split
from fidojax.engine.explain import explain_batch
from fidojax.methods.grad_cam import grad_cam
from fidojax.methods.grad_cam_pp import grad_cam_pp
from fidojax.methods.gradient import gradient
from fidojax.methods.guided_grad_cam import guided_grad_cam
from fidojax.methods.hires_cam import hires_cam
from fidojax.methods.layer_cam import layer_cam
from fidojax.networks import weight_files
from fidojax.transforms import cpu

os.environ.setdefault("KERAS_BACKEND", "jax")
KEY = jax.random.key(0)
IMAGES = jnp.asarray(np.random.default_rng(0).random((4, 8, 8, 3), np.float32))


def conv1(images):
    """The convolution of CN: 3 x 3, all weights 1, biases -50 and -75."""
    kernel = jnp.ones((3, 3, 1, 2), images.dtype)
    y = jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + jnp.array([-50.0, -75.0], images.dtype)


def dense(activations):
    """Flattened channels first, as CN is written."""
    x = jnp.moveaxis(activations, -1, 1).reshape(len(activations), -1)
    row = jnp.array([1.0, 1, 1, 1, 1, -1, -1, -1], x.dtype)
    return jax.nn.relu(x @ jnp.tile(row, (4, 1)).T)


def relu(activations):
    return jax.nn.relu(activations)


def after_conv(activations):
    return dense(relu(activations))


def whole(images):
    return after_conv(conv1(images))


def conv_relu(images):
    return relu(conv1(images))


def unchanged(images):
    return images


AT_CONV1 = Split(Partial(conv1), Partial(after_conv))
AT_RELU1 = Split(Partial(conv_relu), Partial(dense))
AT_INPUT = Split(Partial(unchanged), Partial(whole))


@pytest.fixture(params=["float64", "float32"])
def close(request):
    tolerance = 1e-6 if request.param == "float64" else 1e-4

    def check(actual, expected):
        expected = np.asarray(expected)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * abs(expected).max())

    with jax.enable_x64(request.param == "float64"):
        yield check


@functools.cache
def compiled(method, target=0, **options):
    """The method as one program of the classifier and the image, for several tests."""
    return jax.jit(lambda classifier, image: method(KEY, classifier, image, target, **options))


def ramp():
    return jnp.arange(16.0).reshape(4, 4, 1)


def test_split_is_the_composition():
    np.testing.assert_allclose(AT_CONV1(ramp()[None]), [[54.0] * 4])
    np.testing.assert_allclose(AT_RELU1(ramp()[None] + 1), [[67.0] * 4])


def test_grad_cam_at_the_convolution(close):
    """GC-1, GC-2, GC-9."""
    saliency, info = compiled(grad_cam)(AT_CONV1, ramp())
    close(info.coarse, [[11.25, 13.5], [20.25, 22.5]])
    parts = info.weights * info.activations
    close(parts[..., 0], [[-3.75, 3], [23.25, 30]])
    close(parts[..., 1], [[15, 10.5], [-3, -7.5]])
    close(info.score, 54)
    expected = [[0, 5, 15, 20], [20, 25, 35, 40], [60, 65, 75, 80], [80, 85, 95, 100]]
    scaled = (saliency - info.coarse.min()) / (info.coarse.max() - info.coarse.min())
    close(scaled, np.array(expected) / 100)


def test_grad_cam_elsewhere(close):
    """GC-3, GC-5, GC-6, GC-7."""
    close(compiled(grad_cam)(AT_RELU1, ramp()).info.coarse, [[0, 4], [28, 32.5]])
    image = ramp().at[1, 1].set(-4.0)
    saliency, info = compiled(grad_cam)(AT_INPUT, image)
    close(info.weights, [0.5625])
    close(saliency, np.maximum(0.5625 * image[..., 0], 0))

    def multilayer(x):
        hidden = x.reshape(len(x), 3) @ jnp.ones((3, 4)) + jnp.array([-10.0, 1, 1, 1])
        return jax.nn.relu(hidden) @ jnp.ones((4, 2)) + jnp.array([-1.0, 1])

    linear0 = Split(Partial(unchanged), Partial(multilayer))
    close(compiled(grad_cam)(linear0, jnp.array([[[0.0, 100, 0]]])).saliency, [[400.0]])


def test_grad_cam_of_given_activations_and_gradients(close):
    """GC-8: the map is zero where activation and mean gradient differ in sign."""
    rows = jnp.tile(jnp.array([1.0, 2, 3, 2, 1]), (5, 1))
    activations = rows * jnp.array([-1.0, 1, 0, 1, -1])[:, None]
    slopes = jnp.zeros((5, 5)).at[(0, -1), (0, -1)].set(2.0).at[(1, -1), 1:-1].set(3.0)

    def features(images):
        return images + activations[None, :, :, None]

    def head(sign, a):
        return beside_zero(sign * jnp.einsum("nijk,ij->nk", a, slopes))

    for sign in (1.0, -1.0):
        split = Split(Partial(features), Partial(head, sign))
        saliency = compiled(grad_cam)(split, jnp.zeros((5, 5, 1))).saliency
        expected = np.zeros((5, 5))
        expected[[1, 3] if sign > 0 else [0, 4]] = np.array([1, 2, 3, 2, 1]) / 3
        close(saliency / saliency.max(), expected)


def test_guided_grad_cam(close):
    """GGC-1, and that the guided gradient and the map are multiplied as they are."""
    expected = [[0, 0, 4, 4], [0, 0, 12, 8], [28, 84, 97.5, 65], [28, 56, 65, 32.5]]
    for image in (ramp(), ramp()):
        saliency, info = compiled(guided_grad_cam, interpolation="nearest")(AT_RELU1, image)
        close(saliency, expected)
        close(info.attribution[..., 0], expected)
    smooth = compiled(guided_grad_cam)(AT_RELU1, ramp())
    cam = compiled(grad_cam)(AT_RELU1, ramp()).saliency
    close(smooth.info.cam, cam)
    guided = np.array([[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]])
    close(smooth.saliency, guided * cam)


def slow_plus_plus(features, slopes):
    weights = np.zeros(features.shape[-1])
    for k in range(len(weights)):
        for slope in slopes[..., k].ravel():
            below = 2 * slope**2 + features[..., k].sum() * slope**3
            weights[k] += (slope**2 / below if below else 0) * max(slope, 0)
    return weights


WEIGHTS = {
    grad_cam: lambda features, slopes: slopes.mean((0, 1)),
    grad_cam_pp: slow_plus_plus,
    layer_cam: lambda features, slopes: np.maximum(slopes, 0),
    hires_cam: lambda features, slopes: slopes,
}


@pytest.mark.parametrize("method", WEIGHTS)
@pytest.mark.parametrize("split", [AT_CONV1, AT_RELU1])
def test_the_weights_of_each_method(method, split, close):
    image = ramp() + 1
    features = np.asarray(split.features(image[None])[0])
    slopes = np.asarray(jax.grad(lambda a: split.head(a[None])[0, 0])(jnp.asarray(features)))
    weights = WEIGHTS[method](features, slopes)
    saliency, info = compiled(method, interpolation="nearest")(split, image)
    close(info.weights, weights)
    close(info.coarse, np.maximum((weights * features).sum(-1), 0))
    close(saliency, np.repeat(np.repeat(info.coarse, 2, 0), 2, 1))


def test_hires_cam_is_what_each_place_adds_to_the_score(close):
    def logits(features):
        return features.sum((1, 2)) @ jnp.array([[0.5, 1.0]])

    image = ramp() + 1
    found = compiled(hires_cam)(Split(Partial(unchanged), Partial(logits)), image)
    close(found.saliency.sum(), found.info.score)


def tokens_of(images, before=1):
    """The pixels of the image as tokens, row by row, after tokens that are no patches."""
    tokens = images.reshape(len(images), -1, images.shape[-1])
    return jnp.concatenate([jnp.full((len(images), before, images.shape[-1]), 5.0), tokens], 1)


def of_tokens(tokens):
    weights = jnp.arange(tokens.shape[1] * 3.0).reshape(tokens.shape[1], 3) - 5
    return jnp.einsum("ntc,tk->nk", tokens, weights)


@pytest.mark.parametrize("method", [*WEIGHTS, guided_grad_cam])
@pytest.mark.parametrize(
    ("before", "shape", "grid"), [(0, (4, 4), None), (1, (4, 4), None), (2, (4, 4), (4, 4)),
                                  (1, (2, 6), (2, 6))]
)  # fmt: skip
def test_tokens_are_a_grid(method, before, shape, grid):
    image = jax.random.uniform(KEY, (*shape, 2))

    def patches(images):
        return tokens_of(images, before)

    def pixels(features):
        flat = features.reshape(1, -1, 2)
        return of_tokens(jnp.concatenate([jnp.full((1, before, 2), 5.0), flat], 1))

    found = method(KEY, Split(Partial(patches), Partial(of_tokens)), image, 1, grid=grid)
    expected = method(KEY, Split(Partial(unchanged), Partial(pixels)), image, 1)
    np.testing.assert_allclose(found.saliency, expected.saliency, rtol=1e-5)
    assert float(found.saliency.max()) > 0


def test_tokens_that_are_no_grid_are_refused():
    image = jnp.ones((2, 6, 2))
    split = Split(Partial(tokens_of), Partial(of_tokens))
    with pytest.raises(ValueError, match=r"its 13 tokens are no square.*grid=\(rows, columns\)"):
        grad_cam(KEY, split, image, 0)
    with pytest.raises(ValueError, match=r"grid is \(3, 5\), expected \(rows, columns\) of at mos"):
        grad_cam(KEY, split, image, 0, grid=(3, 5))


def test_the_engine_takes_a_grid():
    images = jax.random.uniform(KEY, (2, 2, 6, 2))
    split = Split(Partial(tokens_of), Partial(of_tokens))
    found = explain_batch("layer_cam", split, images, jnp.array([0, 1]), options={"grid": (2, 6)})
    alone = layer_cam(KEY, split, images[1], 1, grid=(2, 6))
    np.testing.assert_allclose(found.saliency[1], alone.saliency, rtol=1e-5)


def test_a_classifier_without_features_is_refused():
    for method in (*WEIGHTS, guided_grad_cam):
        with pytest.raises(TypeError, match=r"shows no features \(a Partial\): pass .*Split"):
            method(KEY, Partial(whole), ramp(), 0)
    pooled = Split(Partial(lambda x: x.mean((1, 2))), Partial(lambda x: x))
    with pytest.raises(ValueError, match=r"features have shape \(1, 1\), expected"):
        grad_cam(KEY, pooled, ramp(), 0)
    with pytest.raises(ValueError, match="interpolation: there is no 'linear'; did you mean bili"):
        grad_cam(KEY, AT_CONV1, ramp(), 0, interpolation="linear")
    with pytest.raises(ValueError, match="score: there is no 'loss'"):
        grad_cam(KEY, AT_CONV1, ramp(), 0, score="loss")


class Residual(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv = nnx.Conv(5, 5, (3, 3), rngs=rngs)

    def __call__(self, x):
        return nnx.relu(x + self.conv(x))


class NnxNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.stem = nnx.Conv(3, 5, (3, 3), strides=2, rngs=rngs)
        self.blocks = nnx.List([Residual(rngs), Residual(rngs)])
        self.norm = nnx.BatchNorm(5, rngs=rngs)
        self.dense = nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.dense(self.norm(x).mean((1, 2)))


class LinenNet(linen.Module):
    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.BatchNorm(use_running_average=not train)(linen.Conv(5, (3, 3), 2)(x))
        return linen.Dense(3)(linen.relu(x).mean((1, 2)))


def of_nnx(seed):
    net = NnxNet(nnx.Rngs(seed))
    view = nnx.view(net, use_running_average=True)

    def features(images):
        return net.blocks[1](net.blocks[0](net.stem(images)))

    split = Split(features, lambda a: view.dense(view.norm(a).mean((1, 2))))
    return networks.from_nnx(net), networks.from_nnx(net, layer="blocks.1"), split


def of_linen(seed):
    net = LinenNet()
    variables = net.init(jax.random.key(seed), IMAGES, train=False)
    p = variables["params"]

    def features(images):
        return linen.Conv(5, (3, 3), 2).apply({"params": p["Conv_0"]}, images)

    def head(a: Any):
        norm = {"params": p["BatchNorm_0"], "batch_stats": variables["batch_stats"]["BatchNorm_0"]}
        a = linen.BatchNorm(use_running_average=True).apply(norm, a)
        return linen.Dense(3).apply(
            {"params": p["Dense_0"]}, linen.relu(jnp.asarray(a)).mean((1, 2))
        )

    plain = networks.from_linen(net, variables)
    return plain, networks.from_linen(net, variables, layer="Conv_0"), Split(features, head)


def of_keras(seed):
    keras = pytest.importorskip("keras", reason="needs the extra [keras]")
    layers = keras.layers
    if not hasattr(of_keras, "model"):
        inputs = keras.Input((8, 8, 3))
        x = layers.BatchNormalization()(layers.Conv2D(5, 3, 2, name="stem")(inputs))
        x = layers.Add(name="sum")([x, layers.Conv2D(5, 3, padding="same", name="inner")(x)])
        x = layers.ReLU(name="last")(x)
        x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
        of_keras.model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    model = of_keras.model
    draw = np.random.default_rng(seed)
    model.set_weights([draw.normal(size=w.shape).astype(w.dtype) ** 2 for w in model.get_weights()])
    kernel, bias = model.get_layer("logits").get_weights()
    until = keras.Model(model.inputs, model.get_layer("last").output)

    def head(a):
        return a.mean((1, 2)) @ kernel + bias

    plain = networks.from_keras(model)
    return plain, networks.from_keras(model, layer="last"), Split(until, head)


FRAMEWORKS = [of_nnx, of_linen, of_keras]


@pytest.mark.parametrize("build", FRAMEWORKS)
def test_a_layer_is_named_once(build):
    plain, classifier, split = build(1)
    np.testing.assert_array_equal(classifier(IMAGES), plain(IMAGES))
    for one, other in zip(jax.tree.leaves(classifier), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(one, other)
    activations, rest = classifier.tap(IMAGES)
    np.testing.assert_allclose(activations, split.features(IMAGES), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rest(activations), plain(IMAGES), rtol=1e-5, atol=1e-6)
    other = 0.5 * activations + 1
    np.testing.assert_allclose(rest(other), split.head(other), rtol=1e-5, atol=1e-6)
    expected = jax.jit(lambda x: grad_cam(KEY, split, x, 1))(IMAGES[0])
    assert float(abs(expected.info.weights).max()) > 1e-3
    for ours in (classifier, cpu.fast(classifier)):
        found = jax.jit(lambda c, x: grad_cam(KEY, c, x, 1))(ours, IMAGES[0])
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", FRAMEWORKS)
def test_new_weights_neither_retrace_nor_go_stale(build):
    traces = []

    @jax.jit
    def explain(classifier, image):
        traces.append(1)
        return grad_cam(KEY, classifier, image, 0).info.weights

    first = build(1)[1]
    one, two = explain(first, IMAGES[0]), explain(build(2)[1], IMAGES[0])
    assert len(traces) == 1
    assert not np.allclose(one, two)
    constants = jax.make_jaxpr(lambda c, x: grad_cam(KEY, c, x, 0))(first, IMAGES[0]).consts
    assert sum(np.size(c) for c in constants) < 8, "weights are baked in as constants"


def test_a_layer_that_the_network_goes_around_is_replaced_alone():
    """As a hook would: the images still reach the logits through the residual sum."""
    net = NnxNet(nnx.Rngs(0))
    classifier: Any = networks.from_nnx(net, layer="blocks.1.conv")
    activations, rest = classifier.tap(IMAGES)
    np.testing.assert_allclose(rest(activations), classifier(IMAGES), rtol=1e-5, atol=1e-6)
    without = nnx.clone(net)
    conv: Any = without.blocks[1].conv
    conv.kernel[...] *= 0
    conv.bias[...] *= 0
    np.testing.assert_allclose(
        rest(0 * activations), networks.from_nnx(without)(IMAGES), rtol=1e-5, atol=1e-6
    )


def test_layers_that_cannot_be_had_are_named():
    net = NnxNet(nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"no 'blocks\.2'; did you mean blocks\.1"):
        networks.from_nnx(net, layer="blocks.2")
    variables = LinenNet().init(jax.random.key(0), IMAGES, train=False)
    classifier = networks.from_linen(LinenNet(), variables, layer="Conv_7")
    with pytest.raises(ValueError, match="no layer 'Conv_7', or never calls it"):
        grad_cam(KEY, classifier, IMAGES[0], 0)
    with pytest.raises(ValueError, match="layer: there is no 'conv9'"):
        networks.load("mnist", layer="conv9")


def test_keras_layers_that_cannot_be_had_are_named():
    of_keras(0)
    with pytest.raises(ValueError, match="layer: there is no 'lost'; did you mean last"):
        networks.from_keras(of_keras.model, layer="lost")


@pytest.mark.parametrize(
    ("name", "shape"), [("mnist", (5, 5, 64)), ("tiny_imagenet40", (4, 4, 256))]
)
def test_shipped_networks_show_their_last_features(name, shape):
    network = networks.load(name)
    path = networks.WEIGHTS / f"{name}.npz"
    plain = weight_files.restore(path, networks.SHIPPED[name].network)
    assert isinstance(network.classifier, HasFeatures)
    image = jax.random.uniform(KEY, network.size)
    for rewrite in (lambda c: c, cpu.fast):
        ours, theirs = (
            jax.jit(lambda c, x: gradient(KEY, c, x, 3))(rewrite(c), image)
            for c in (network.classifier, plain)
        )
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_array_equal(a, b)
    leaves = [jax.tree.leaves(c) for c in (network.classifier, plain)]
    for a, b in zip(*leaves, strict=True):
        np.testing.assert_array_equal(a, b)
    info = compiled(grad_cam, 3)(network.classifier, image).info
    assert info.activations.shape == shape
    np.testing.assert_allclose(info.score, plain(image[None])[0, 3], rtol=1e-4, atol=1e-4)


def test_another_layer_of_a_shipped_network():
    classifier = networks.load("mnist", layer="conv1").classifier
    image = jax.random.uniform(KEY, (28, 28, 1))
    assert grad_cam(KEY, classifier, image, 3).info.coarse.shape == (13, 13)


def test_keras_networks_show_their_last_features():
    pytest.importorskip("keras", reason="needs the extra [keras]")
    from fidojax.networks.keras import last_features

    of_keras(0)
    assert last_features(of_keras.model) == "last"


def test_the_last_features_of_mobilenet():
    pytest.importorskip("keras", reason="needs the extra [keras]")
    classifier: Any = networks.load("keras:MobileNetV2", "random").classifier
    activations = jax.eval_shape(lambda c, x: c.tap(x)[0], classifier, jnp.zeros((1, 224, 224, 3)))
    assert activations.shape == (1, 7, 7, 1280)


def test_fast_keeps_the_parts_apart():
    fast = cpu.fast(AT_CONV1)
    assert isinstance(fast, HasFeatures)
    assert cpu.fast(fast) is fast
    np.testing.assert_allclose(
        grad_cam(KEY, fast, ramp(), 0).saliency, grad_cam(KEY, AT_CONV1, ramp(), 0).saliency
    )
    tapped = networks.from_nnx(NnxNet(nnx.Rngs(0)), layer="stem")
    structure = jax.tree.structure(cpu.fast(tapped))
    assert structure == jax.tree.structure(cpu.fast(cpu.fast(tapped)))
    assert structure != jax.tree.structure(tapped)


def test_jit_equals_eager_and_vmap_equals_a_loop():
    classifier = of_nnx(0)[1]
    targets = jnp.array([0, 1, 2, 1])
    for method in (grad_cam, guided_grad_cam):

        def one(image, target):
            return method(KEY, classifier, image, target).saliency  # noqa: B023

        batch = jax.jit(jax.vmap(one))(IMAGES, targets)
        for i in (0, 3):
            saliency = one(IMAGES[i], targets[i])
            assert saliency.shape == (8, 8)
            assert saliency.dtype == jnp.float32
            np.testing.assert_allclose(batch[i], saliency, atol=1e-6)
            np.testing.assert_allclose(jax.jit(one)(IMAGES[i], targets[i]), saliency, atol=1e-6)
        together = explain_batch(method, classifier, IMAGES, targets, batch_size=4)
        np.testing.assert_allclose(together.saliency, batch, atol=1e-5)


def test_an_ensemble_is_one_vmap():
    members = [of_nnx(seed)[1] for seed in (1, 2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    together = jax.jit(jax.vmap(lambda c: grad_cam(KEY, c, IMAGES[0], 0).info.weights))(stacked)
    for weights, member in zip(together, members, strict=True):
        alone = compiled(grad_cam)(member, IMAGES[0]).info.weights
        np.testing.assert_allclose(weights, alone, rtol=1e-4, atol=1e-6)


def test_gradients_go_through():
    with jax.enable_x64(True):

        @jax.jit
        def loudness(image):
            features = Split(
                Partial(lambda x: jnp.tanh(conv1(x))), Partial(lambda a: a.sum((1, 2)) ** 2)
            )
            return jnp.sum(grad_cam(KEY, features, image, 0).saliency ** 2)

        image = jax.random.uniform(KEY, (5, 5, 1), jnp.float64) * 10
        direction = jax.random.normal(jax.random.key(2), image.shape)
        numeric = (loudness(image + 1e-6 * direction) - loudness(image - 1e-6 * direction)) / 2e-6
        slope = jnp.vdot(jax.jit(jax.grad(loudness))(image), direction)
        np.testing.assert_allclose(slope, numeric, rtol=1e-5)
