"""DeepLIFT: published cases, a slow loop in NumPy, and programs of every form."""

import functools
import itertools
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.tree_util import Partial

from fidojax import networks
from fidojax.methods.deeplift.deeplift import RULES, contributions, deeplift
from fidojax.transforms import cpu
from infillers import INFILLERS, mean

os.environ.setdefault("KERAS_BACKEND", "jax")
DRAW = np.random.default_rng(0)
KEY = jax.random.key(0)


@pytest.fixture(params=["float32", "float64"])
def precise(request):
    """A number type, and how closely it must meet the published cases."""
    with jax.enable_x64(request.param == "float64"):
        yield jnp.dtype(request.param), {"float32": 1e-4, "float64": 1e-6}[request.param]


def attribute(function, x, reference, rule="rescale", dtype=None):
    """Contributions to `function`, of a vector, to a number."""
    return attribute_each([(function, rule)], x, reference, dtype)[0]


def attribute_each(pairs, x, reference, dtype=None):
    """Contributions to each function by its rule; in one program, to compile less."""
    x, reference = (jnp.asarray(v, dtype or jnp.result_type(float)) for v in (x, reference))

    @jax.jit
    def compute(*given):
        def of(function):
            return lambda image: function(image.reshape(x.shape))

        return [contributions(rule, of(function), *given) for function, rule in pairs]

    return compute(x.reshape(1, -1, 1), reference.reshape(1, -1, 1))


def relu_difference(x):
    return 2 * jax.nn.relu(x[0]) + 2 * jax.nn.relu(x[1] - 1.5)


def tanh_difference(x):
    return 2 * jnp.tanh(x[0]) + 2 * jnp.tanh(x[1] - 1.5)


def relu_linear(x):
    return jax.nn.relu(x[:3] @ jnp.array([3.0, 1, 0])) + jax.nn.relu(x[3:] @ jnp.array([2.0, 3, 0]))


def neuron(x):
    return jax.nn.relu(x @ jnp.array([1.0, 2, 3, 4]) - 1)


def falling_neuron(x):
    return jax.nn.relu(x @ -jnp.array([1.0, 2, 3, 4]) + 1)


# name: function, x, reference, contributions (or multipliers)
CASES = {
    "DL-1": (relu_difference, [1, 2], [0, 0], [2.0, 1.0]),
    "DL-3": (tanh_difference, [-1, -2], [0, 0], [-1.52318831, -0.18605917]),
    "DL-4": (
        relu_linear, [-10, 1, -5, 3, 3, 1], [0, 0, 0] + [1e-4] * 3, [0, 0, 0, 5.9998, 8.9997, 0]
    ),
    "DL-5a": (relu_linear, [-10, 1, -5, 3, 3, 1], [0] * 6, [0, 0, 0, 6, 9, 0]),
    "DL-5b": (relu_linear, [2, 3, 4, 2.3, 5, 4], [0] * 6, [6, 3, 0, 4.6, 15, 0]),
    "DL-7a": (jnp.max, [1, 1, 1, 1], [1, 2, 3, 9], [0, 0, 0, -8]),
    "DL-7b": (jnp.max, [1, 1, 1, 1], [4, 8, 6, 7], [0, -7, 0, 0]),
}  # fmt: skip
MULTIPLIERS = {
    "DL-2": (relu_difference, [1, 2], [0, 0], [2.0, 0.5]),
    "DL-9a": (neuron, [1] * 4, [0] * 4, 0.9 * np.arange(1, 5)),
    "DL-9b": (neuron, [2] * 4, [0] * 4, 0.95 * np.arange(1, 5)),
    "DL-9c": (falling_neuron, [1] * 4, [0] * 4, -0.1 * np.arange(1, 5)),
    "DL-9d": (falling_neuron, [2] * 4, [0] * 4, -0.05 * np.arange(1, 5)),
}


@pytest.mark.parametrize("name", [*CASES, *MULTIPLIERS])
def test_published_cases(name, precise):
    dtype, tolerance = precise
    function, x, reference, expected = (CASES | MULTIPLIERS)[name]
    found = attribute(function, x, reference, dtype=dtype)
    values = found.attribution if name in CASES else found.multiplier
    assert values.dtype == dtype
    # Some of the published values stand to seven digits only.
    np.testing.assert_allclose(
        values.ravel(), expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )
    total = float(found.image - found.reference)
    assert abs(float(found.attribution.sum()) - total) < tolerance * max(abs(total), 1)


def slow_reveal_cancel(layers, x, reference):
    """The rules layer by layer, as the specification writes them: dense layers with ReLUs."""
    relu = partial(np.maximum, 0)
    images, references, sides = [x], [reference], []
    for weights, bias in layers:
        delta = images[-1] - references[-1]
        sides.append(delta)
        images.append(weights @ images[-1] + bias)
        references.append(weights @ references[-1] + bias)
        if len(sides) < len(layers):
            images[-1:], references[-1:] = (
                [images[-1], relu(images[-1])],
                [references[-1], relu(references[-1])],
            )
    positive = negative = np.ones(1)
    pre = [r for r in references[1::2]]
    for layer in reversed(range(len(layers))):
        weights, delta = layers[layer][0], sides[layer]
        up, down = np.maximum(weights, 0), np.minimum(weights, 0)
        if layer < len(layers) - 1:  # its nonlinearity
            plus = up @ np.maximum(delta, 0) + down @ np.minimum(delta, 0)
            minus = down @ np.maximum(delta, 0) + up @ np.minimum(delta, 0)
            plus, minus = np.where(plus < 5e-8, 1e-7, plus), np.where(minus > -5e-8, -1e-7, minus)
            r = pre[layer]
            rise = (relu(r + plus) - relu(r) + relu(r + plus + minus) - relu(r + minus)) / 2
            fall = (relu(r + minus) - relu(r) + relu(r + plus + minus) - relu(r + plus)) / 2
            positive, negative = positive * rise / plus, negative * fall / minus
        rising = up.T @ positive + down.T @ negative
        falling = down.T @ positive + up.T @ negative
        both = weights.T @ (positive + negative) / 2
        multiplier = np.where(delta > 0, rising, np.where(delta < 0, falling, both))
        positive = negative = multiplier
    return multiplier * (x - reference)


def dense_layers(*sizes):
    return [
        (DRAW.normal(size=(n, m)) / np.sqrt(m), 0.1 * DRAW.normal(size=n))
        for m, n in itertools.pairwise(sizes)
    ]


def dense(layers, x, relu=jax.nn.relu):
    for weights, bias in layers[:-1]:
        x = relu(weights @ x + bias)
    weights, bias = layers[-1]
    return (weights @ x + bias)[0]


def test_reveal_cancel_equals_a_slow_loop(float64):
    for _ in range(2):
        layers = dense_layers(12, 9, 7, 1)
        x, reference = DRAW.random(12), DRAW.random(12) * (DRAW.random(12) < 0.5)
        x[:2] = reference[:2]  # no difference: both parts share
        pairs = [(partial(dense, layers), rule) for rule in ("reveal_cancel", "rescale")]
        found, rescaled = attribute_each(pairs, x, reference)
        expected = slow_reveal_cancel(layers, x, reference)
        np.testing.assert_allclose(found.attribution.ravel(), expected, atol=1e-6)
        assert np.abs(rescaled.attribution.ravel() - expected).max() > 1e-3


def test_reveal_cancel_reveals():
    """min(x, y) = x - relu(x - y): Rescale gives all to one input, RevealCancel half to each."""

    def smaller(x):
        return x[0] - jax.nn.relu(jnp.array([[1.0, -1.0]]) @ x)[0]

    for rule, expected in (("rescale", [0, 1]), ("reveal_cancel", [0.5, 0.5])):
        found = attribute(smaller, [3.0, 1.0], [0.0, 0.0], rule)
        np.testing.assert_allclose(found.attribution.ravel(), expected, atol=1e-6)
    assert float(found.image) == 1


GEOMETRIES = {
    "strides": {"window_strides": (2, 1), "padding": ((1, 0), (0, 2))},
    "dilated": {"window_strides": (1, 1), "padding": "SAME", "rhs_dilation": (2, 1)},
    "transposed": {"window_strides": (1, 1), "padding": ((2, 2), (2, 2)), "lhs_dilation": (2, 2)},
    "groups": {"window_strides": (1, 1), "padding": "VALID", "feature_group_count": 2},
    "channels first": {"window_strides": (1, 2), "padding": "SAME"},
    "depthwise": {"window_strides": (1, 1), "padding": "SAME", "feature_group_count": 4},
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_convolution_is_a_dense_layer(name, float64):
    geometry = GEOMETRIES[name]
    numbers = ("NCHW", "OIHW", "NCHW") if name == "channels first" else ("NHWC", "HWIO", "NHWC")
    shape = (1, 4, 5, 6) if name == "channels first" else (1, 5, 6, 4)
    inner = 4 // geometry.get("feature_group_count", 1)
    taps = (4, inner, 3, 2) if name == "channels first" else (3, 2, inner, 4)
    kernel = jnp.asarray(DRAW.normal(size=taps))

    def convolution(x):
        return lax.conv_general_dilated(
            x.reshape(shape), kernel, dimension_numbers=numbers, **geometry
        ).ravel()

    matrix = jax.jit(jax.jacobian(convolution))(jnp.zeros(120))
    readout = DRAW.normal(size=matrix.shape[0])
    x, reference = DRAW.random(120), DRAW.random(120)
    twins = [
        lambda x, f=f: jax.nn.relu(f(x) - 0.1) @ readout
        for f in (convolution, lambda x: matrix @ x)
    ]
    rules = ("rescale", "reveal_cancel")  # the third tells them apart, see below
    found = attribute_each(itertools.product(twins, rules), x, reference)
    for ours, expected in zip(found[:2], found[2:], strict=True):
        np.testing.assert_allclose(ours.attribution, expected.attribution, atol=1e-9)


def test_genomics_default_rescales_after_convolutions_only(float64):
    kernel, layers = jnp.asarray(DRAW.normal(size=(3, 1, 2))), dense_layers(16, 6, 1)

    def function(x, hidden):
        numbers = ("NHC", "HIO", "NHC")
        x = lax.conv_general_dilated(
            x[None, :, None], kernel, (1,), "VALID", dimension_numbers=numbers
        ).ravel()
        return dense(layers, jax.nn.relu(x)) if hidden else jax.nn.relu(x).sum()

    x, reference = DRAW.random(10), np.zeros(10)
    for hidden, twin in ((False, "rescale"), (True, None)):
        pairs = [(partial(function, hidden=hidden), rule) for rule in RULES]
        found = attribute_each(pairs, x, reference)
        maps = {rule: one.attribution for rule, one in zip(RULES, found, strict=True)}
        for rule in ("rescale", "reveal_cancel"):
            same = np.allclose(maps["genomics_default"], maps[rule], atol=1e-9)
            assert same == (rule == twin)


BIAS = jnp.asarray(DRAW.normal(size=6))
SCALE = jnp.asarray(DRAW.normal(size=6))


def block(x, relu):
    return relu(x * SCALE + BIAS)


@jax.custom_vjp
def own_derivative(x):
    return jnp.maximum(jnp.sin(3 * x), 0) + x


own_derivative.defvjp(lambda x: (own_derivative(x), x), lambda _, g: (7 * g,))
SELF = jax.nn.relu  # one object, reused

# Programs of six inputs to six outputs between two dense layers.
PROGRAMS = {
    "reused": lambda x: SELF(SELF(x) + SELF(-x) - 0.2 * x),
    "residual": lambda x: x + jax.nn.relu(jnp.roll(x, 1) * SCALE),
    "jit": jax.jit(partial(block, relu=jax.jit(jax.nn.relu))),
    "remat": jax.checkpoint(partial(block, relu=jax.nn.relu)),
    "custom derivative": own_derivative,
    "scan": lambda x: lax.scan(lambda c, s: (jax.nn.elu(c * s + BIAS), c.sum()), x, SCALE)[0],
    "scan, stacked": lambda x: lax.scan(lambda c, s: (c + s, jax.nn.relu(c + s)), 0.0, x)[1],
    "scan, closed over": lambda x: lax.scan(lambda c, s: (c + s * x, None), BIAS, SCALE)[0],
    "cond": lambda x: lax.cond(SCALE[0] > 9, jnp.sin, lambda x: jax.nn.relu(x[::-1]), x),
    "batch norm": lambda x: jax.nn.relu((x - BIAS) * lax.rsqrt(SCALE**2 + 1e-3) * SCALE + BIAS),
    "concatenation": lambda x: jnp.concatenate([jax.nn.relu(x[:2]), BIAS[:1], jnp.tanh(x[3:])]),
    "padding": lambda x: jnp.pad(jax.nn.relu(x), (1, 2), constant_values=3.0)[1:7],
    "mean": lambda x: x.mean() - jnp.tanh(x),
    "maximum": lambda x: jnp.stack([x.max(), x.min(), x[:3].max(), *x[3:]]),
    "max pooling": lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (3,), (1,), "SAME"),
    "average pooling": lambda x: lax.reduce_window(x, 0.0, lax.add, (3,), (1,), "SAME") / 3,
    "reshape": lambda x: jnp.tanh(x.reshape(2, 3).T).swapaxes(0, 1).reshape(6)[::-1],
    "gather": lambda x: jax.nn.relu(x)[jnp.array([3, 3, 1, 0, 5, 2])],
    "update": lambda x: x.at[2].set(jnp.sin(x[1])).at[3].add(x[0] ** 2),
    "weights computed": lambda x: x * jax.nn.softmax(SCALE) / jnp.linalg.norm(BIAS),
    "unused": lambda x: (jnp.sort(x), jax.nn.relu(x))[1],
    "stop_gradient": lambda x: jax.nn.relu(x) + lax.stop_gradient(x),
    "broadcasting": lambda x: lax.mul(x[:1], jnp.tanh(BIAS)) + lax.mul(x, BIAS[:1]),
    "product in a scan": lambda x: lax.scan(lambda c, s: (c * (s + x[::-1]), None), x, SCALE[:2])[
        0
    ],
}
ACTIVATIONS = {
    "relu6": lambda x: jax.nn.relu6(9 * x),
    "clip": lambda x: jnp.clip(x, -0.1, 0.3),
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "gelu": jax.nn.gelu,
    "exact gelu": partial(jax.nn.gelu, approximate=False),
    "silu": jax.nn.silu,
    "hard swish": jax.nn.hard_swish,
    "mish": jax.nn.mish,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "leaky": jax.nn.leaky_relu,
    "square": jnp.square,
    "product with itself": lambda x: x * jnp.exp(-x) * x,
}


@functools.cache
def in_both_rules(name):
    """What the program says of a picture, and its contributions by each rule, compiled as one."""
    draw = np.random.default_rng(1)
    first, last = (jnp.asarray(draw.normal(size=s), jnp.float32) for s in ((6, 8), 6))
    x, reference = (jnp.asarray(draw.random((1, 8, 1)), jnp.float32) for _ in range(2))

    def function(image):
        return last @ (PROGRAMS | ACTIVATIONS)[name](first @ image.reshape(8))

    @jax.jit
    def compute(*given):
        rules = ("rescale", "reveal_cancel")
        return function(x), {rule: contributions(rule, function, *given) for rule in rules}

    return compute(x, reference)


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("name", PROGRAMS | ACTIVATIONS)
def test_contributions_add_up_in_every_program(name, rule):
    expected, both = in_both_rules(name)
    found = both[rule]
    np.testing.assert_allclose(found.image, expected, rtol=1e-5)
    total = float(found.image - found.reference)
    assert abs(total) > 1e-3
    assert abs(float(found.attribution.sum()) - total) < 1e-5 * (1 + abs(total))
    assert int(jnp.sum(found.attribution != 0)) == 8


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_spelling_makes_no_difference(rule, float64):
    layers = dense_layers(6, 8, 1)
    x, reference = DRAW.random(6), np.zeros(6)
    spellings = [
        jax.nn.relu,
        lambda x: jnp.maximum(x, 0),
        lambda x: jnp.maximum(jnp.zeros_like(x), x),
        lambda x: jnp.where(x > 0, x, 0),
        lambda x: jnp.where(x <= 0, 0.0, x),
        lambda x: x * (x > 0),
        lambda x: (x + jnp.abs(x)) / 2,
        lambda x: jnp.clip(x, 0, None),
        lambda x: -jnp.minimum(-x, 0),
    ]
    pairs = [(partial(dense, layers, relu=relu), rule) for relu in spellings]
    maps = attribute_each(pairs, x, reference)
    for other in maps[1:]:
        np.testing.assert_allclose(other.multiplier, maps[0].multiplier, atol=1e-12)


def test_a_batch_norm_may_be_folded(float64):
    """Also where its scale is negative, which turns positive and negative parts round."""
    (weights, bias), last = dense_layers(6, 8, 1)
    scale, shift = DRAW.normal(size=8), DRAW.normal(size=8)
    x, reference = DRAW.random(6), DRAW.random(6)
    folded = [(scale[:, None] * weights, scale * bias + shift), last]
    ours = attribute(
        lambda x: dense([last], jax.nn.relu((weights @ x + bias) * scale + shift)),
        x, reference, "reveal_cancel",
    )  # fmt: skip
    expected = attribute(partial(dense, folded), x, reference, "reveal_cancel")
    np.testing.assert_allclose(ours.attribution, expected.attribution, atol=1e-12)


def test_parts_keep_their_sides_through_sums_and_differences(float64):
    """A sum of layers is one layer, where their weights do not cancel."""
    weights = DRAW.normal(size=(6, 6))
    np.fill_diagonal(weights, np.abs(weights.diagonal()))
    last = dense_layers(6, 1)
    x, reference = DRAW.normal(size=6), DRAW.normal(size=6)

    inners = [
        lambda x: (np.eye(6) + weights) @ x,
        lambda x: x + weights @ x,
        lambda x: x - -weights @ x,
        lambda x: x - (-1.0 * (weights @ x)),
        lambda x: -(-weights @ x - x),
        lambda x: jnp.stack([x, weights @ x]).sum(0),
    ]
    pairs = [
        (lambda x, inner=inner: dense(last, jax.nn.relu(inner(x) + 0.1)), "reveal_cancel")
        for inner in inners
    ]
    added, *others = attribute_each(pairs, x, reference)
    for other in others:
        np.testing.assert_allclose(other.attribution, added.attribution, atol=1e-9)


def test_at_the_tie_the_slope_is_that_of_the_reference(float64):
    """No difference enters the ReLU: its slope is 0 at 0, and 1 above."""
    for bias, expected in ((0.0, 0.0), (0.5, 1.0), (-0.5, 0.0)):
        found = attribute(lambda x, b=bias: jax.nn.relu(x[0] - x[1] + b), [1, 1], [0, 0])
        np.testing.assert_allclose(found.multiplier.ravel(), [expected, -expected])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: jnp.sort(x)[0], "no rule for 'sort' of a value that depends on the image"),
        (lambda x: lax.atan2(x, x[::-1])[0], "no rule for 'atan2' of several values that depend"),
        (lambda x: jnp.prod(x), "no rule for 'reduce_prod'"),
        (lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x)[0], "'cond'|int32 values that depend"),
        (lambda x: lax.while_loop(lambda x: x[0] < 9, lambda x: x + 1, x)[0], "for 'while'"),
        (lambda x: (x > 0).sum() * 1.0, "values that depend on the image|'reduce_sum'"),
        (lambda x: jnp.argmax(x) * 1.0, "no rule for 'argmax'"),
        (lambda x: SCALE[(9 * x[0]).astype(int)], "'gather'|'dynamic_slice'"),
    ],
)
def test_an_unknown_operation_is_refused_by_name(function, message):
    with pytest.raises(ValueError, match=message):
        attribute(function, [1.0, 2.0], [0.0, 0.0])


def small(weights, images):
    """A convolution, a pooled residual sum and a dense layer."""
    kernel, other, last = weights
    x = jax.nn.relu(
        lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    )
    x = x + jax.nn.gelu(x @ other)
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return x.mean((1, 2)) @ last


@pytest.fixture
def network():
    shapes = ((3, 3, 3, 5), (5, 5), (5, 4))
    return Partial(small, tuple(jnp.asarray(DRAW.normal(size=s), jnp.float32) for s in shapes))


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(7), (8, 8, 3))


def test_the_map_is_the_sum_over_colours_and_adds_up_to_the_score(network, image):
    variants = itertools.product(
        ("rescale", "reveal_cancel"), ("logit", "log_odds", "log_probability", "probability")
    )

    @jax.jit
    def explain(classifier, image):
        return [
            deeplift(KEY, classifier, image, 2, rule=rule, score=score) for rule, score in variants
        ]

    for saliency, info in explain(network, image):
        assert saliency.shape == (8, 8)
        assert saliency.dtype == jnp.float32
        np.testing.assert_array_equal(info.reference, jnp.zeros_like(image))
        np.testing.assert_allclose(saliency, np.asarray(info.attribution).sum(-1), rtol=1e-6)
        total = float(info.score - info.reference_score)
        assert abs(float(saliency.sum()) - total) < 1e-5 * (1 + abs(total))
        assert abs(float(info.gap)) < 1e-5 * (1 + abs(total))


def test_finds_the_planted_pixels_exactly(planted):
    """A linear classifier: weight times difference, whatever the rule."""
    image = jax.random.uniform(KEY, (12, 12, 3))
    weights = planted.args[0]
    for rule in RULES:
        for color in (0.0, 0.3):
            found = deeplift(KEY, planted, image, 0, rule=rule, infill=mean(color))
            np.testing.assert_allclose(found.info.attribution, weights * (image - color), atol=1e-6)


@pytest.mark.parametrize("infill", INFILLERS)
def test_any_infiller_makes_the_reference(infill, network, image, small):
    @jax.jit
    def explain(fill, classifier, image):
        expected = fill(KEY, image, jnp.zeros((8, 8)))
        return deeplift(KEY, classifier, image, 1, infill=fill), expected

    fill = small[infill] if infill in small else INFILLERS[infill]()
    (saliency, info), expected = explain(fill, network, image)
    np.testing.assert_array_equal(info.reference, expected)
    assert bool(jnp.all(jnp.isfinite(saliency)))


@pytest.mark.parametrize("rule", RULES)
def test_vmap_over_images_targets_and_weights_equals_a_loop(rule, network, image):
    images = jnp.stack([image, image[::-1], 0.5 * image])
    targets = jnp.arange(3)
    members = [jax.tree.map(lambda w, s=s: s * w, network) for s in (1.0, -0.5, 2.0)]
    ensemble = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)

    def one(classifier, image, target):
        return deeplift(KEY, classifier, image, target, rule=rule).saliency

    together, alone = jax.jit(jax.vmap(one))(ensemble, images, targets), jax.jit(one)
    for i, member in enumerate(members):
        np.testing.assert_allclose(together[i], alone(member, images[i], i), atol=1e-5)


def test_a_classifier_rewritten_for_the_cpu_has_the_same_map(network, image):
    np.testing.assert_allclose(
        deeplift(KEY, cpu.fast(network), image, 1).saliency,
        deeplift(KEY, network, image, 1).saliency,
        atol=1e-6,
    )


def test_half_precision_stays_finite(network, image):
    half = jax.tree.map(lambda w: w.astype(jnp.bfloat16), network)

    @jax.jit
    def explain(classifier, image):
        rules = ("rescale", "reveal_cancel")
        return [deeplift(KEY, classifier, image, 0, rule=rule).saliency for rule in rules]

    for saliency in explain(half, image.astype(jnp.bfloat16)):
        assert bool(jnp.all(jnp.isfinite(saliency)))


@pytest.mark.parametrize("name", ["mnist", "tiny_imagenet40"])
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_contributions_add_up_on_shipped_networks(name, rule):
    network = networks.load(name)
    images = jax.random.uniform(KEY, (2 if name == "mnist" else 1, *network.size))
    explain = jax.vmap(lambda f, x: deeplift(KEY, f, x, 3, rule=rule).info, (None, 0))
    # The weights are an argument: XLA would fold constants for longer than the program runs.
    info = jax.jit(explain)(network.classifier, images)
    assert bool(
        jnp.all(jnp.abs(info.gap) < 1e-5 * (1 + jnp.abs(info.score - info.reference_score)))
    )


@pytest.mark.parametrize(
    ("name", "file"),
    [("mnist", "mnist_allconv.npz"), ("keras:MobileNetV2", "mobilenetv2_imagenet.npz")],
)
def test_contributions_add_up_on_shared_networks(name, file, shared):
    path = shared / "models" / file
    if not path.is_file():
        pytest.skip(f"needs {file} in ../shared/models")
    network = networks.load(name, path)
    image = jax.random.uniform(KEY, network.size)
    info = jax.jit(lambda f, x: deeplift(KEY, f, x, 3).info)(network.classifier, image)
    assert abs(float(info.gap)) < 1e-5 * (1 + abs(float(info.score - info.reference_score)))


def test_bad_options_are_named(network, image):
    def trace(**options):
        jax.eval_shape(lambda f, x: deeplift(KEY, f, x, 0, **options), network, image)

    with pytest.raises(ValueError, match="rule: there is no 'reveal'; did you mean reveal_cancel"):
        trace(rule="reveal")
    with pytest.raises(ValueError, match="score: there is no 'loss'"):
        trace(score="loss")
