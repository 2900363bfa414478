"""Realtime: features of any classifier, the masking network, its objectives, stored maskers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PLANTED, linear
from flax import nnx
from jax.tree_util import Partial

from fidojax import networks
from fidojax.core.masks import upsample
from fidojax.methods.realtime.objective import (
    existence_loss,
    exists,
    lead,
    perturbed,
    realtime_objective,
    realtime_paper_objective,
)
from fidojax.methods.realtime.realtime import realtime
from fidojax.networks import fold, from_equinox, load_masker, weight_files
from fidojax.networks.realtime import REALTIME_WIDTHS, RealtimeNetwork, shuffled
from fidojax.transforms import cpu, feature_pyramid


def conv(x, kernel, stride=1, padding: Any = "SAME"):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def small_network(weights, images, levels=False):
    """Two resolutions below the images' own; padded arrays and a gate beside them."""
    x = jax.nn.relu(conv(2 * images - 1, weights[0]))  # at full size
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    fine = jax.nn.relu(jax.jit(conv, static_argnums=(2, 3))(x, weights[1], 2, "VALID"))
    fine = fine * jax.nn.sigmoid(fine.mean((1, 2), keepdims=True))
    twice = (1, 2, 2, 1)
    coarse = jax.lax.reduce_window(fine, -jnp.inf, jax.lax.max, twice, twice, "VALID")
    coarse = jnp.tanh(conv(coarse, weights[2]))
    padded = jnp.pad(coarse, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return (coarse, fine) if levels else padded.mean((1, 2)) @ jnp.ones((5, 3))


@pytest.fixture(scope="module")
def weights():
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = (3, 3, 3, 4), (3, 3, 4, 6), (1, 1, 6, 5)
    return [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]


@pytest.fixture(scope="module")
def images():
    return jax.random.uniform(jax.random.key(1), (2, 12, 16, 3))


def drawn(seed=0, classes=3, channels=(5, 6), widths=(4,), **options):
    """A network whose arrays are all drawn, those of batch norm, too; compiles no initialiser."""
    rng = np.random.default_rng(seed)
    shape = nnx.eval_shape(
        lambda: RealtimeNetwork(classes, channels, widths, 2, rngs=nnx.Rngs(0), **options)
    )
    graph, state = nnx.split(shape)

    def draw(leaf):
        low, high = (-0.6, 0.6) if len(leaf.shape) > 1 else (0.1, 0.9)
        return jnp.asarray(rng.uniform(low, high, leaf.shape), leaf.dtype)

    return nnx.merge(graph, jax.tree.map(draw, state))


@pytest.fixture(scope="module")
def stored_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("realtime") / "weights.npz"
    weight_files.save(path, fold(drawn()))
    return path


def test_features_are_the_last_activations_of_each_resolution(weights, images):
    classifier = Partial(small_network, weights)
    expected = small_network(weights, images, levels=True)
    for found in (
        feature_pyramid.features(classifier, images),
        feature_pyramid.features(cpu.fast(classifier), images),
    ):
        assert [level.shape[1:] for level in found] == [(3, 4, 5), (6, 8, 6)], "coarsest first"
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_features_do_not_retrace_and_take_no_gradient(weights, images):
    traces = []

    @jax.jit
    def coarsest(classifier, images):
        traces.append(0)
        return feature_pyramid.features(classifier, images)[0]

    one = coarsest(Partial(small_network, weights), images)
    other = coarsest(Partial(small_network, [-w for w in weights]), images)
    assert len(traces) == 1
    assert bool(jnp.any(one != other))
    gradient = jax.grad(lambda x: coarsest(Partial(small_network, weights), x).sum())(images)
    assert not gradient.any()


def test_nearly_equal_resolutions_count_once(images):
    def narrowing(kernel, images):
        x = conv(images, kernel, 2)
        for _ in range(3):  # 6 x 8 becomes 5 x 7, 4 x 6, 3 x 5
            x = conv(x, kernel, padding="VALID")
        return x.mean((1, 2))

    found = feature_pyramid.features(Partial(narrowing, jnp.ones((2, 2, 3, 3))), images)
    assert [level.shape[1:3] for level in found] == [(3, 5), (5, 7)]


def test_channels_may_come_first(images):
    eqx = pytest.importorskip("equinox", reason="needs the extra [equinox]")
    layer = eqx.nn.Conv2d(3, 5, 3, stride=2, padding=1, key=jax.random.key(0))

    class Net(eqx.Module):
        layer: Any

        def __call__(self, x):
            return jnp.tanh(self.layer(x)).mean((1, 2))

    (found,) = feature_pyramid.features(from_equinox(Net(layer)), images)
    kernel = layer.weight.transpose(2, 3, 1, 0)
    expected = jnp.tanh(conv(images, kernel, 2, ((1, 1), (1, 1))) + layer.bias[:, 0, 0])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("tiny_imagenet40", [(4, 4, 256), (8, 8, 128), (16, 16, 64), (32, 32, 24)]),
        ("mnist", [(5, 5, 64), (13, 13, 32)]),
    ],
)
def test_shipped_classifiers_have_features(name, shapes):
    found = networks.load(name)
    one = jnp.zeros((1, *found.size))
    classifier: Any = found.classifier
    levels = jax.eval_shape(feature_pyramid.features, classifier, one)
    assert [level.shape[1:] for level in levels] == shapes
    last, _ = classifier.tap(one)  # what Grad-CAM explains by, the activation applied or not
    assert last.shape == levels[0].shape


def test_a_classifier_without_convolutions_is_refused(planted, images):
    with pytest.raises(ValueError, match="has no convolutional features coarser than its images"):
        feature_pyramid.features(planted, jnp.zeros((1, 12, 12, 3)))


def test_authors_network():
    """Channels of ResNet-50 and, by SPEC, of the decoder's three stages."""
    channels = (2048, 1024, 512, 256)
    network = nnx.eval_shape(
        lambda: RealtimeNetwork(1000, channels, REALTIME_WIDTHS, norm=False, rngs=nnx.Rngs(0))
    )
    stages: Any = network.stages
    ups = [stage.up.conv.kernel.shape for stage in stages]
    assert ups == [(3, 3, 2048, 1024), (3, 3, 256, 512), (3, 3, 128, 256)]
    joined = [stage.shortcut.kernel.shape[2:] for stage in stages]
    assert joined == [(1280, 256), (640, 128), (320, 64)]
    narrow = [stage.conv2.conv.kernel.shape[2:] for stage in stages]
    assert narrow == [(64, 64), (32, 32), (16, 16)]
    sides = (7, 14, 28, 56)
    levels = [jnp.zeros((2, n, n, c)) for n, c in zip(sides, channels, strict=True)]
    mask, activation = jax.eval_shape(
        lambda net, *given: net(*given), network, jnp.zeros(2, int), 0.0, *levels
    )
    assert mask.shape == (2, 56, 56)
    assert activation.shape == (2, 7, 7)


def test_shuffled_makes_squares_of_channels():
    x = jnp.arange(2 * 3 * 8.0).reshape(1, 2, 3, 8)
    y = shuffled(x)
    assert y.shape == (1, 4, 6, 2)
    np.testing.assert_array_equal(y[0, 2:4, 4:6].reshape(4, 2), x[0, 1, 2].reshape(4, 2))


def test_selector_compares_features_with_the_class():
    network = drawn()
    coarse = jax.random.normal(jax.random.key(0), (3, 2, 3, 5))
    targets = jnp.array([2, 0, 2])
    found = network.activation(targets, coarse)
    kernel = np.asarray(network.selector.kernel.get_value())
    for n, target in enumerate((2, 0, 2)):
        np.testing.assert_allclose(found[n], np.asarray(coarse)[n] @ kernel[:, target], rtol=1e-5)


def test_confidence_dims_what_the_selector_doubts():
    network = fold(drawn())
    coarse = jax.random.normal(jax.random.key(0), (1, 2, 3, 5))
    fine = jax.random.normal(jax.random.key(1), (1, 4, 6, 6))
    target = jnp.array([1])

    @jax.jit
    def mask(coarse, confidence):
        return network(target, confidence, coarse, fine)[0]

    dimmed = coarse * jax.nn.sigmoid(network.activation(target, coarse) - 1.0)[..., None]
    np.testing.assert_allclose(mask(coarse, 1.0), mask(dimmed, -1e9), rtol=1e-4)
    np.testing.assert_allclose(mask(coarse, 1e9), mask(0 * coarse, 0.0), rtol=1e-4)
    assert bool(jnp.any(jnp.abs(mask(coarse, 0.0) - mask(coarse, 6.0)) > 1e-3))


def test_folded_network_is_the_same_function_also_at_odd_sides():
    network = drawn()
    levels = [
        jax.random.normal(jax.random.key(n), (2, *shape))
        for n, shape in enumerate([(3, 2, 5), (7, 5, 6)])
    ]
    compute = jax.jit(lambda network, *given: network(jnp.array([0, 2]), 1.0, *given))
    one, other = compute(network, *levels), compute(fold(network), *levels)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert one[0].shape == (2, 7, 5)
    assert 0 <= float(one[0].min()) < float(one[0].max()) <= 1
    with pytest.raises(ValueError, match="expected one more of channels"):
        RealtimeNetwork(3, (5, 6), (4, 4), rngs=nnx.Rngs(0))


def by_hand(patch, targets, confidence, *features):
    """A masker that knows where class 0 is."""
    mask = jnp.where((targets == 0)[:, None, None], patch, 0.0)
    return mask, mask - confidence + features[0].mean(-1)[:, :1, :1]


def test_explains_the_class_that_is_asked_for(planted):
    image = jax.random.uniform(jax.random.key(7), (12, 12, 3))
    coarse = jnp.zeros((6, 6)).at[1:3, 2:4].set(1.0)
    level = Partial(lambda images: (images[:, ::4, ::4],))
    given: Any = {"masker": Partial(by_hand, coarse), "features": level}
    explain = jax.jit(
        jax.vmap(lambda target: realtime(jax.random.key(0), planted, image, target, **given))
    )
    saliency, info = explain(jnp.array([0, 1]))
    np.testing.assert_array_equal(saliency[0], upsample(coarse, (12, 12)))
    assert saliency.dtype == jnp.float32
    assert not saliency[1].any()
    np.testing.assert_array_equal(info.coarse[0], coarse)
    expected = 1 / (1 + np.exp(-np.asarray(info.activation).mean((1, 2))))
    np.testing.assert_allclose(info.exists, expected, rtol=1e-5)
    np.testing.assert_allclose(info.activation[1], image[::4, ::4].mean(-1)[0, 0] - 6, rtol=1e-5)


def test_stored_masker(weights, images, stored_weights, tmp_path):
    masker = load_masker(stored_weights)
    levels = small_network(weights, images, levels=True)
    one = masker(jnp.array([0, 2]), 0.0, *levels)
    for a, b in zip(one, fold(drawn())(jnp.array([0, 2]), 0.0, *levels), strict=True):
        np.testing.assert_allclose(a, b, atol=0.02)
    traces = []

    @jax.jit
    def explain(masker, classifier, target):
        traces.append(0)
        return realtime(jax.random.key(0), classifier, images[0], target, masker=masker)

    other = tmp_path / "other.npz"
    weight_files.save(other, fold(drawn(1)))
    classifier = Partial(small_network, weights)
    maps = [explain(load_masker(path), classifier, 1).saliency for path in (stored_weights, other)]
    assert len(traces) == 1
    assert maps[0].shape == (12, 16)
    assert bool(jnp.any(maps[0] != maps[1]))


def test_what_cannot_be_is_refused(weights, images, stored_weights, tmp_path):
    coarse, fine = small_network(weights, images, levels=True)
    message = r"features have \(4, 6\) channels, coarsest first, but the masker is for \(5, 6\)"
    with pytest.raises(ValueError, match=message):
        load_masker(stored_weights)(jnp.array([0, 2]), 0.0, coarse[..., :4], fine)
    np.savez(tmp_path / "no.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="expected the arrays of a RealtimeNetwork"):
        load_masker(tmp_path / "no.npz")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_masker(tmp_path / "none.npz")


def test_perturbed_is_the_picture_or_something_else():
    image = jax.random.uniform(jax.random.key(7), (9, 12, 3))
    keys = jax.random.split(jax.random.key(0), 200)

    @jax.jit
    def draw(mask):
        return jax.vmap(lambda key: perturbed(key, image, mask, 2.0))(keys)

    kept = draw(jnp.ones((9, 12)))
    inner = (image > 0.1) & (image < 0.9)
    np.testing.assert_allclose((kept - image)[:, inner].std(), 0.015, rtol=0.05)
    dropped = np.asarray(draw(jnp.zeros((9, 12))))
    assert dropped.min() >= 0
    assert dropped.max() <= 1
    tone = dropped.mean((1, 2))
    flat = np.abs(dropped - tone[:, None, None]).mean((1, 2, 3))
    coloured = np.abs(flat - 0.055 * np.sqrt(2 / np.pi)) < 0.003
    assert 70 < coloured.sum() < 130, "a fair coin"
    assert 0.33 < tone[coloured].min() < 0.36
    assert 0.64 < tone[coloured].max() < 0.67
    between = np.corrcoef(dropped[~coloured].mean(0).ravel(), np.asarray(image).ravel())[0, 1]
    assert between > 0.2, "the others are blurred"
    half = jnp.full((9, 12), 0.5)
    gradient = jax.jit(jax.grad(lambda x: perturbed(keys[0], x, half).sum()))(image)
    assert not gradient.any()


def seen(key, classifier, image, mask):
    """Logits by what is kept, and without it, by the documented draws."""
    look = jax.jit(lambda key, mask: classifier(perturbed(key, image, mask)[None])[0])
    return [
        np.asarray(look(k, m), np.float64)
        for k, m in zip(jax.random.split(key), (mask, 1 - mask), strict=True)
    ]


@pytest.fixture(scope="module")
def case():
    image = jax.random.uniform(jax.random.key(7), (8, 9, 3))
    mask = jax.random.uniform(jax.random.key(8), (8, 9))
    matrix = jax.random.normal(jax.random.key(9), (216, 4)) / 8
    return jax.random.key(3), Partial(dense, matrix), image, mask


def dense(matrix, images):
    return images.reshape(len(images), -1) @ matrix


def test_objective_is_that_of_the_authors(case):
    key, classifier, image, mask = case
    kept, rest = seen(key, classifier, image, mask)
    m = np.asarray(mask, np.float64)
    smooth = sum((m[i, j] - m[i - 1, j]) ** 2 for i in range(1, 8) for j in range(9))
    smooth += sum((m[i, j] - m[i, j - 1]) ** 2 for i in range(8) for j in range(1, 9))
    smooth += 0.3 * sum((m[0] ** 2).tolist() + (m[-1] ** 2).tolist())
    smooth += 0.3 * sum((m[:, 0] ** 2).tolist() + (m[:, -1] ** 2).tolist())
    area = ((m + 0.0005) ** 0.3).mean()
    objective = jax.jit(lambda *given, **more: realtime_objective(*given, **more))
    for target in range(4):

        def ahead(logits, target=target):
            return logits[target] - np.delete(logits, target).max()

        np.testing.assert_allclose(lead(jnp.asarray(kept), target), ahead(kept), rtol=1e-4)
        for real in (True, False):
            found = objective(key, classifier, image, target, mask, real=real)
            if real:
                destroyer, preserver = max(0, ahead(rest) + 5), max(0, 1 - ahead(kept))
            else:
                destroyer, preserver = max(0, 1 - ahead(rest)), max(0, ahead(kept) + 1)
            np.testing.assert_allclose(found.destroyer, destroyer, atol=1e-4)
            np.testing.assert_allclose(found.preserver, preserver, atol=1e-4)
            np.testing.assert_allclose(found.area, area, rtol=1e-5)
            np.testing.assert_allclose(found.smoothness, smooth / 2, rtol=1e-5)
            expected = destroyer + 8 * area + 0.005 * smooth / 2 + 0.3 * preserver
            np.testing.assert_allclose(found.loss, expected, rtol=1e-4)


def test_papers_objective(case):
    key, classifier, image, mask = case
    kept, rest = (np.exp(z) / np.exp(z).sum() for z in seen(key, classifier, image, mask))
    m = np.asarray(mask, np.float64)
    tv = (np.diff(m, axis=0) ** 2).sum() + (np.diff(m, axis=1) ** 2).sum()
    objective = jax.jit(
        lambda real: realtime_paper_objective(key, classifier, image, 2, mask, real=real)
    )
    found = objective(True)
    expected = 10 * tv + 1e-3 * m.mean() - np.log(kept[2]) + 5 * rest[2] ** 0.3
    np.testing.assert_allclose(found.loss, expected, rtol=1e-4)
    np.testing.assert_allclose(found.preserver, -np.log(kept[2]), rtol=1e-3)
    np.testing.assert_allclose(found.destroyer, rest[2] ** 0.3, rtol=1e-3)
    fake = objective(False)
    np.testing.assert_allclose(fake.loss, 10 * tv + 1e-3 * m.mean(), rtol=1e-4)


def test_a_small_mask_is_interpolated_to_the_picture(case):
    key, classifier, image, _ = case
    coarse = jax.random.uniform(jax.random.key(1), (4, 3))
    objective = jax.jit(lambda mask: realtime_objective(key, classifier, image, 0, mask))
    one, other = objective(coarse), objective(upsample(coarse, (8, 9)))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_existence_loss_is_the_cross_entropy_of_two_logits():
    activation = jax.random.normal(jax.random.key(0), (3, 4))
    mean = float(activation.mean())
    p = np.exp(mean / 2) / (np.exp(mean / 2) + np.exp(-mean / 2))
    np.testing.assert_allclose(exists(activation), p, rtol=1e-5)
    np.testing.assert_allclose(existence_loss(activation, True), -np.log(p), rtol=1e-5)
    np.testing.assert_allclose(existence_loss(activation, False), -np.log(1 - p), rtol=1e-5)
    assert float(existence_loss(jnp.full((2, 2), -1e4), True)) == 1e4


@pytest.mark.parametrize(
    ("objective", "area"), [(realtime_objective, 1.5), (realtime_paper_objective, 1.0)]
)
def test_descending_finds_the_pixels_that_decide(objective, area):
    """The objective in the mask's own logits: real, it keeps the planted patch; fake, nothing."""
    planted = Partial(linear, jnp.zeros((12, 12, 3)).at[PLANTED].set(0.05))
    image = jnp.zeros((12, 12, 3)).at[PLANTED].set(1.0)
    few = {"area": area, "smoothness": 0.01}

    @jax.jit
    def step(logits, key):
        def loss(logits, real):
            keys = jax.random.split(key, 8)
            mask = jax.nn.sigmoid(logits)
            each = jax.vmap(lambda k: objective(k, planted, image, 0, mask, real=real, **few).loss)
            return each(keys).mean()

        real, fake = logits
        return jnp.stack([
            real - 20 * jax.grad(loss)(real, True), fake - 20 * jax.grad(loss)(fake, False)
        ])  # fmt: skip

    logits = jnp.zeros((2, 12, 12))
    for i in range(100):
        logits = step(logits, jax.random.key(i))
    real, fake = np.asarray(jax.nn.sigmoid(logits))
    inside = np.zeros((12, 12), bool)
    inside[PLANTED] = True
    assert real[inside].mean() > 0.8
    assert real[~inside].mean() < 0.2
    assert fake.mean() < 0.1
