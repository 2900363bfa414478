"""Occlusion against published numbers and a slow loop."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PLANTED, beside_zero
from jax.tree_util import Partial

import infillers
from fidojax.methods.occlusion import occlusion

KEY = jax.random.key(0)
X, ONES = np.arange(16.0).reshape(4, 4), np.ones((4, 4))
DOTS = np.zeros((5, 5))
DOTS[1, 1] = DOTS[3, 3] = 1


def multilayer(images):
    """Three inputs, four hidden units, two outputs; an image is 1 x 3."""
    hidden = jax.nn.relu(images.reshape(-1, 1, 3).sum(axis=-1) + jnp.array([-10.0, 1, 1, 1]))
    return hidden.sum(axis=1, keepdims=True) + jnp.array([-1.0, 1])


def convolutional(other, images):
    """Two channels of 3 x 3 sums, then four equal outputs; `other` is a second input."""
    images = images[..., 0] + jnp.asarray(other, images.dtype)
    sums = sum(images[:, i : i + 2, j : j + 2] for i in range(3) for j in range(3))
    plus, minus = (jax.nn.relu(sums - bias).reshape(-1, 4) for bias in (50, 75))
    evidence = plus.sum(axis=1) + minus[:, 0] - minus[:, 1:].sum(axis=1)
    return jnp.broadcast_to(jax.nn.relu(evidence)[:, None], (len(images), 4))


def thrice(images):
    return beside_zero(3 * images.sum(axis=(1, 2)))


ALONE, WITH_ONES, WITH_X = (Partial(convolutional, other) for other in (0 * X, ONES, X))
ROW = np.array([[20.0, 50, 30]])
# name: (classifier, image, options, map); the names are those of the table of published numbers.
CASES = {
    "OCC-1": (multilayer, ROW, {"window": 1}, [[80, 200, 120]]),
    "OCC-2": (multilayer, ROW, {"window": (1, 2), "base": 10}, [[200, 220, 240]]),
    "OCC-3": (multilayer, ROW, {"window": (1, 2), "stride": 2}, [[280, 280, 120]]),
    "OCC-4": (multilayer, np.array([[2.0, 10, 3]]), {"window": 1}, [[8, 35, 12]]),
    "OCC-5a": (WITH_ONES, X, {"window": 4}, 67 * ONES),
    "OCC-5b": (WITH_X, ONES, {"window": 4}, 13 * ONES),
    "OCC-7": (ALONE, X, {"window": 2}, [
        [7, 8, 6.5, 4], [15.5, 20.75, 22.25, 18.5], [30, 39.25, 44.25, 40], [36, 45, 50.5, 47],
    ]),
    "OCC-9": (thrice, DOTS, {"window": 3, "aggregation": "sum"}, [
        [3, 6, 6, 3, 0], [6, 15, 18, 12, 3], [6, 18, 24, 18, 6], [3, 12, 18, 15, 6],
        [0, 3, 6, 6, 3],
    ]),
    "FA-3": (multilayer, ROW, {"window": (1, 2), "stride": 2, "base": 4}, [[248, 248, 104]]),
    "FA-5a": (WITH_ONES, X, {"window": 1}, [
        [0, 2, 4, 3], [4, 9, 10, 7], [4, 13, 14, 11], [0, 0, 0, 0],
    ]),
    "FA-5b": (WITH_X, ONES, {"window": 1}, [[1, 2, 2, 1]] * 3 + [[0] * 4]),
}  # fmt: skip


def case(name, dtype, **more):
    classifier, image, options, expected = CASES[name]
    options = {"stride": 1} | options | more
    if "base" in options:
        options["infill"] = infillers.mean(options.pop("base"))
    image = jnp.asarray(image, dtype)[..., None]

    @jax.jit
    def explain(classifier, image):
        return occlusion(KEY, classifier, image, 0, score="logit", **options).saliency

    return explain(Partial(classifier), image), np.array(expected)


@pytest.mark.parametrize("name", CASES)
def test_published_numbers(name):
    saliency, expected = case(name, jnp.float32)
    assert saliency.dtype == jnp.float32
    np.testing.assert_allclose(saliency, expected, atol=1e-4 * expected.max())


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", CASES)
def test_published_numbers_in_double_precision(name):
    saliency, expected = case(name, jnp.float64)
    assert saliency.dtype == jnp.float64
    np.testing.assert_allclose(saliency, expected, atol=1e-6 * expected.max())


@pytest.mark.parametrize("name", ["OCC-3", "OCC-7"])
def test_the_map_does_not_depend_on_the_chunk(name):
    for chunk in (1, 2, 3, 1000):
        saliency, expected = case(name, jnp.float32, chunk=chunk)
        np.testing.assert_allclose(saliency, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("window", "stride", "border", "count"),
    [(1, 1, "drop", 100), (2, 2, "drop", 25), (2, 3, "drop", 9), (2, 3, "clip", 16)],
)
def test_number_of_windows(window, stride, border, count):
    options = {"window": window, "stride": stride, "border": border}
    explain = jax.jit(lambda x: occlusion(KEY, Partial(thrice), x, 0, **options))
    _, info = explain(jnp.ones((10, 10, 1)))
    assert info.scores.size == count


def curved(weights, images):
    return jnp.tanh(images.reshape(len(images), -1) @ weights) * 3


@pytest.mark.parametrize("border", ["clip", "drop"])
@pytest.mark.parametrize("aggregation", ["mean", "sum"])
def test_equals_the_slow_loop(border, aggregation):
    image = jax.random.uniform(jax.random.key(1), (7, 9, 3))
    classifier = Partial(curved, jax.random.normal(jax.random.key(2), (7 * 9 * 3, 4)) / 5)
    infill = infillers.local(3, 0.5)  # it looks at the mask
    (height, width), (down, across) = (3, 2), (2, 4)

    @jax.jit
    def log_probability(picture):
        return jax.nn.log_softmax(classifier(picture[None]))[0, 2]

    @jax.jit
    def covered(mask):
        return jnp.where(mask[..., None] == 1, image, infill(KEY, image, mask))

    def score(picture):
        return float(log_probability(picture))

    total, count, scores = np.zeros((7, 9)), np.zeros((7, 9)), []
    for top, left in itertools.product(range(0, 7, down), range(0, 9, across)):
        overhang = top + height > 7 or left + width > 9
        covered_before = top - down + height >= 7 or left - across + width >= 9
        if overhang and (border == "drop" or covered_before):
            continue
        mask = np.ones((7, 9), np.float32)
        mask[top : top + height, left : left + width] = 0
        scores.append(score(covered(mask)))
        total += (score(image) - scores[-1]) * (1 - mask)
        count += 1 - mask
    options = {
        "infill": infill, "window": (height, width), "stride": (down, across),
        "aggregation": aggregation, "border": border, "score": "log_probability", "chunk": 4,
    }  # fmt: skip
    saliency, info = jax.jit(lambda f, x: occlusion(KEY, f, x, 2, **options))(classifier, image)
    expected = total / np.maximum(count, 1) if aggregation == "mean" else total
    np.testing.assert_allclose(saliency, expected, atol=1e-5)
    np.testing.assert_allclose(info.scores.ravel(), scores, atol=1e-5)
    np.testing.assert_array_equal(info.windows, count)
    np.testing.assert_allclose(info.original, score(image), atol=1e-6)
    if border == "drop":
        assert (np.asarray(saliency)[count == 0] == 0).all()


def test_finds_the_planted_pixels_batched_and_compiled(planted):
    images = jax.random.uniform(jax.random.key(7), (2, 12, 12, 3), minval=0.6)
    keys = jax.random.split(KEY)
    options = {"infill": infillers.random(), "window": 1, "stride": 1, "score": "logit"}

    def explain(key, image, chunk=50):
        return occlusion(key, planted, image, 0, chunk=chunk, **options).saliency

    # A bright picture on a random background: each window has the colour of its own key.
    maps = jax.jit(jax.vmap(explain))(keys, images)
    inside = np.zeros((12, 12), bool)
    inside[PLANTED] = True
    assert float(jnp.abs(maps[:, inside]).min()) > 0
    assert float(jnp.abs(maps[:, ~inside]).max()) < 1e-5
    for i, chunk in enumerate((50, 7)):
        alone = jax.jit(explain, static_argnums=2)(keys[i], images[i], chunk)
        np.testing.assert_allclose(alone, maps[i], atol=1e-5)
    black = jax.jit(lambda x: occlusion(KEY, planted, x, 0, window=1, stride=1).saliency)(images[0])
    assert float(black[inside].min()) > float(black[~inside].max())


def test_gradients_and_new_weights_go_through():
    image = jax.random.uniform(KEY, (4, 4, 1))
    weights = jnp.linspace(-1, 1, 16).reshape(16, 1)

    def linear(weights, images):
        return beside_zero(images.reshape(len(images), -1) @ weights)

    @jax.jit
    def corner(weights):
        options = {"window": 2, "stride": 2, "score": "logit"}
        return occlusion(KEY, Partial(linear, weights), image, 0, **options).saliency[0, 0]

    np.testing.assert_allclose(
        corner(weights), (weights.reshape(4, 4) * image[..., 0])[:2, :2].sum(), atol=1e-6
    )
    grad = jax.jit(jax.grad(corner))(weights).reshape(4, 4)
    np.testing.assert_allclose(grad[:2, :2], image[:2, :2, 0], atol=1e-6)
    assert float(jnp.abs(grad[2:]).max()) == 0
    both = jax.jit(jax.vmap(corner))(jnp.stack([weights, 2 * weights]))
    np.testing.assert_allclose(both[1], 2 * both[0], rtol=1e-5)


def test_a_classifier_of_few_bits_leaves_a_float32_map():
    def half(images):
        return images.mean(axis=(1, 2)).astype(jnp.bfloat16)

    saliency = occlusion(KEY, Partial(half), jnp.ones((4, 4, 2)), 0, window=2).saliency
    assert saliency.dtype == jnp.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aggregation": "max"}, "aggregation: there is no 'max'; it is one of mean, sum"),
        ({"border": "pad"}, "border: there is no 'pad'; it is one of clip, drop"),
        ({"score": "loss"}, "score: there is no 'loss'"),
        ({"window": 0}, "window is 0, expected at least 1"),
        ({"stride": (1, 0)}, "stride is 0, expected at least 1"),
        ({"window": (3, 5)}, r"window is \(3, 5\), expected at most the image's \(4, 4\)"),
        ({"chunk": 0}, "chunk is 0"),
    ],
)
def test_bad_options_are_named(options, message):
    options = {"window": 1} | options
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            lambda x: occlusion(KEY, Partial(thrice), x, 0, **options), np.ones((4, 4, 1))
        )
