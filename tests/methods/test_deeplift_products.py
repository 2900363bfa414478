"""DeepLIFT where two values that depend on the image meet: gates, attention, normalisations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fidojax.methods.deeplift.deeplift import contributions

# name: function, x, reference, contributions by hand
BY_HAND = {
    # 2 * (2 + 1) / 2 and 1 * (3 + 1) / 2
    "product": (lambda x: x[0] * x[1], [3, 2], [1, 1], [3, 2]),
    "dot product": (lambda x: x[:2] @ x[2:], [3, 1, 2, 5], [1, 1, 1, 4], [3, 0, 2, 1]),
    # (6 - 2) * (1/3 + 1) / 2 and (1/3 - 1) * (6 + 2) / 2
    "quotient": (lambda x: x[0] / x[1], [6, 3], [2, 1], [8 / 3, -8 / 3]),
    # half of each difference; |x - y| is 2 at both
    "larger": (lambda x: jnp.maximum(x[0], x[1]), [3, 1], [0, 2], [1.5, -0.5]),
    "smaller": (lambda x: jnp.minimum(x[0], x[1]), [3, 1], [0, 2], [1.5, -0.5]),
    # log(8) - log(2) = log(4), times the mean exponent; 0 by the other: the exponent stays 2
    "power": (lambda x: x[0] ** x[1], [8, 2], [2, 2], [60, 0]),
    "a factor of one root": (
        lambda x: x[0] * jnp.exp(x[0]) * 0 + x[0] * x[1],
        [3, 2],
        [1, 1],
        [3, 2],
    ),
}


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name, rule, float64):
    function, x, reference, expected = BY_HAND[name]
    x, reference = (jnp.asarray(v, float).reshape(1, -1, 1) for v in (x, reference))
    found = contributions(rule, lambda image: function(image.ravel()), x, reference)
    np.testing.assert_allclose(found.attribution.ravel(), expected, atol=1e-9)


def normalised(x, axes, centred=True):
    x = x - x.mean(axes, keepdims=True) if centred else x
    return x * lax.rsqrt(jnp.mean(x * x, axes, keepdims=True) + 1e-5)


def attention(x, weights):
    """Two heads over tokens "n d"."""
    query, key, value = (normalised(x, -1) @ w for w in weights[:3])
    query, key, value = (y.reshape(len(y), 2, -1) for y in (query, key, value))
    shares = jax.nn.softmax(jnp.einsum("ihd,jhd->hij", query, key), axis=-1)
    return x + jnp.einsum("hij,jhd->ihd", shares, value).reshape(x.shape) @ weights[3]


def feed_forward(x, weights, activation):
    return x + activation(normalised(x, -1) @ weights) @ weights.T


def vision_transformer(tokens, weights):
    for part in weights:
        tokens = feed_forward(attention(tokens, part), part[4], jax.nn.gelu)
    return normalised(tokens, -1).mean(0)


def swin(tokens, weights):
    """Attention within windows, which the second block shifts."""
    for shift, part in enumerate(weights):
        windows = jnp.roll(tokens, 2 * shift, axis=0).reshape(2, -1, tokens.shape[-1])
        tokens = jax.vmap(lambda x, part=part: attention(x, part))(windows).reshape(tokens.shape)
        tokens = feed_forward(jnp.roll(tokens, -2 * shift, axis=0), part[4], jax.nn.gelu)
    return tokens.mean(0)


def squeeze_and_excite(tokens, weights):
    """MobileNetV3's gate, hard, and EfficientNetV2's, smooth, after their activations."""
    for gate, activation, part in zip(
        (jax.nn.hard_sigmoid, jax.nn.sigmoid),
        (jax.nn.hard_swish, jax.nn.silu),
        weights,
        strict=True,
    ):
        x = activation(tokens @ part[4])
        tokens += (x * gate(jax.nn.relu(x.mean(0) @ part[5]) @ part[4])) @ part[5]
    return tokens.mean(0)


def convnext(tokens, weights):
    """A depthwise convolution, a normalisation and an inverted bottleneck, in two blocks."""
    for part in weights:
        x = sum(jnp.roll(tokens, i, axis=0) * part[0][i] for i in range(3))
        tokens += jax.nn.gelu(normalised(x, -1) @ part[4], approximate=False) @ part[5]
    return normalised(tokens, -1, centred=False).mean(0)


def group_norm(tokens, weights):
    x = normalised((tokens @ weights[0][4]).reshape(len(tokens), 4, -1), (0, 2))
    return jax.nn.relu(x.reshape(len(tokens), -1)).mean(0)


NETWORKS = [vision_transformer, swin, squeeze_and_excite, convnext, group_norm]


def network(function):
    draw = np.random.default_rng(3)
    blocks = [
        [jnp.asarray(draw.normal(size=(8, n)) / np.sqrt(8)) for n in (8, 8, 8, 8, 16)]
        + [jnp.asarray(draw.normal(size=(16, 8)) / 4)]
        for _ in range(2)
    ]
    weigh = jnp.asarray(draw.normal(size=16))

    def score(image):
        result = function(image.reshape(8, 8), blocks)
        return result @ weigh[: result.size]

    return score, *(jnp.asarray(draw.random((8, 8, 1))) for _ in range(2))


@pytest.mark.parametrize("function", NETWORKS)
def test_contributions_add_up_in_the_networks_of_today(function, float64):
    score, x, reference = network(function)

    @jax.jit
    def compute(*given):
        rules = ("rescale", "reveal_cancel")
        return score(x), {rule: contributions(rule, score, *given) for rule in rules}

    expected, both = compute(x, reference)
    for found in both.values():
        total = float(found.image - found.reference)
        assert abs(total) > 1e-2
        np.testing.assert_allclose(found.image, expected, rtol=1e-12)
        assert abs(float(found.attribution.sum()) - total) < 1e-8 * abs(total)
    assert float(both["rescale"].rescaled) == 0
    assert float(both["reveal_cancel"].rescaled) < 0.5


@pytest.mark.parametrize("scale", [1, 40])
def test_an_exponential_that_parts_would_overflow_is_rescaled(scale):
    """Rounding must not spoil a softmax whose inputs' parts cancel; the explanation tells."""
    weights = scale * jnp.array([[1.0, -1], [-1, 1], [0.5, -0.5]])

    def share(image):
        return jax.nn.softmax(weights @ image.ravel())[0]

    image = jnp.array([1.0, 0.99]).reshape(1, 2, 1)
    found = contributions("reveal_cancel", share, image, jnp.zeros_like(image))
    total = float(found.image - found.reference)
    assert abs(float(found.attribution.sum()) - total) < 1e-5
    assert (float(found.rescaled) > 0) == (scale == 40)


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("size", [5e-8, 1e-9])
def test_a_vanishing_difference_may_matter(rule, size, float64):
    """As the variance of a layer normalisation near 0, where its reference is one colour."""

    def inverse_deviation(image):
        return lax.rsqrt(image.ravel() @ jnp.array([1.0, 1, -1]) + 1e-6)

    image = size * jnp.array([1.0, 3, 2]).reshape(1, 3, 1)
    found = contributions(rule, inverse_deviation, image, jnp.zeros_like(image))
    total = float(found.image - found.reference)
    assert abs(float(found.attribution.sum()) - total) < 1e-9 * abs(total)
