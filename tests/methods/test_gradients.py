"""The gradient family: known answers of small networks, slow loops, what must not matter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PLANTED, beside_zero
from jax.tree_util import Partial

from fidojax.engine.explain import explain_batch
from fidojax.methods.attribution import CHANNELS, mean_and_variance
from fidojax.methods.expected_gradients import expected_gradients
from fidojax.methods.gradient import gradient
from fidojax.methods.input_x_gradient import input_x_gradient
from fidojax.methods.integrated_gradients import RULES, integrated_gradients
from fidojax.methods.smoothgrad import smoothgrad, smoothgrad_squared, vargrad
from infillers import mean, random

KEY = functools.partial(jax.random.key, 0)
relu = jax.nn.relu


def flat(function, images):
    """A classifier of one row of numbers as one of pictures."""
    logits = function(images.reshape(len(images), -1))
    return logits if logits.shape[1] > 1 else beside_zero(logits)


def model(function):
    return Partial(_model(function))


@functools.cache
def _model(function):
    """One object per function, by which the program of one image serves the next."""
    return functools.partial(flat, function)


def two_relus(x):
    """B2 and B3: the same function in two ways."""
    a, b = x[:, 0], x[:, 1]
    return jnp.stack([relu(relu(a) - 1 - relu(b)), relu(relu(a - 1) - relu(b))], axis=-1)


def multilayer(x):  # ML
    hidden = x @ jnp.ones((3, 4)) + jnp.array([-10.0, 1, 1, 1])
    return relu(hidden) @ jnp.ones((4, 2)) + jnp.array([-1.0, 1])


def curved(x):
    return jnp.stack([5 * x[:, 0] + x[:, 1] ** 2 + jnp.sin(x[:, 2]), -x[:, 0]], axis=-1)


def squares(x):
    return jnp.sum(x**2, axis=-1, keepdims=True)


def row(*values):
    """A picture of one row and one colour."""
    return jnp.asarray(values, float)[None, :, None]


def run(explainer, classifier, image, target=0, /, **options):
    """Compiled, which is quicker than operation by operation; again for other images, too."""
    try:
        compiled = program(explainer, target, *options.items())
    except TypeError:  # an option that is an array
        compiled = program.__wrapped__(explainer, target, *options.items())
    return compiled(KEY(), classifier, image)


@functools.cache
def program(explainer, target, *options):
    return jax.jit(
        lambda key, classifier, image: explainer(key, classifier, image, target, **dict(options))
    )


def attribution(explainer, function, image, target=0, /, **options):
    info = run(explainer, model(function), image, target, **options).info
    return np.asarray(info.attribution)[0, :, 0]


@pytest.fixture(params=["float64", "float32"])
def close(request):
    """Comparison at the accuracy of the number type, which holds inside the test."""
    tolerance = 1e-6 if request.param == "float64" else 1e-4

    def check(actual, expected):
        expected = np.asarray(expected)
        atol = tolerance * max(np.abs(expected).max(), 1e-2)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)

    with jax.enable_x64(request.param == "float64"):
        yield check


ROWS = [[1.5, 2, 1.3], [0.5, 0.1, 2.3], [1.5, 2, 1.3]]
SIX = [1.0, 2, 3, 0, -1, 7]


def one_bend(x):  # B1
    return 1 - relu(1 - x)


def test_gradient_known_answers(close):
    slopes = [attribution(gradient, one_bend, row(x))[0] for x in SIX]
    close(slopes, [0, 0, 0, 1, 1, 0])  # SAL-1; x = 1 is the kink
    for x in ROWS:
        close(attribution(gradient, multilayer, row(*x)), [3, 3, 3])  # SAL-3


def test_input_x_gradient_known_answers(close):
    products = [attribution(input_x_gradient, one_bend, row(x))[0] for x in SIX]
    close(products, [0, 0, 0, 0, -1, 0])  # IXG-1


RULE_ROWS = [
    *((rule, 500, 1.494 if rule == "left" else 1.5) for rule in RULES),
    *((rule, 50, 1.44 if rule == "left" else 1.5) for rule in RULES),
]


@pytest.mark.parametrize(("rule", "steps", "expected"), RULE_ROWS)
def test_integrated_gradients_on_two_relus(close, rule, steps, expected):
    """IG-1, 1b, 1c, 2. The trapezoid's weights have sum 1 here, so that it is exact, too."""

    @jax.jit
    @jax.vmap
    def explain(target):
        options = {"steps": steps, "rule": rule}
        return integrated_gradients(KEY(), model(two_relus), row(3, 1), target, **options).info

    info = explain(jnp.arange(2))
    close(info.attribution[:, 0, :, 0], 2 * [[expected, -expected / 3]])
    close(info.gradient[:, 0, :, 0], 2 * [[expected / 3, -expected / 3]])
    close(info.gap, 2 * [expected * 2 / 3 - 1])


def test_integrated_gradients_known_answers(close):
    exact = {"rule": "gauss-legendre", "steps": 50}
    ends = [attribution(integrated_gradients, one_bend, row(x), **exact)[0] for x in (1, 0, -1)]
    close(ends, [1, 0, -1])  # IG-3
    expected = [[4.5, 6, 3.9], [1.5, 0.3, 6.9], [4.5, 6, 3.9]]
    for x, values, total in zip(ROWS, expected, [14.4, 8.7, 14.4], strict=True):
        found = attribution(integrated_gradients, multilayer, row(*x), **exact)
        close(found, values)  # IG-4
        close(found.sum(), total)
    found = attribution(
        integrated_gradients, curved, row(1, 2, 3), baseline=row(0.5, 1, 1), **exact
    )
    close(found, [2.5, 3, np.sin(3) - np.sin(1)])  # IG-5


def test_the_quadrature_shows_in_the_kinked_row_of_infidelity(close):
    """INF-1's attributions: any other rule or number of steps gives other digits."""

    def added(add, images):
        return 8 * multilayer(images.reshape(len(images), -1) + add)

    expected = [[0, 29.224365, 58.448730], [96, 128, 160], [192, 224, 256], [288, 320, 352]]
    for i, values in enumerate(expected):
        add = jnp.arange(1.0 + 3 * i, 4.0 + 3 * i)
        info = run(
            integrated_gradients, Partial(added, add), row(*add), int(i == 2), baseline=1.0,
            rule="gauss-legendre", steps=50,
        ).info  # fmt: skip
        close(info.attribution[0, :, 0], values)


def test_rules():
    """IG-7, IG-8."""
    nodes, weights = RULES["gauss-legendre"](3)
    np.testing.assert_allclose(nodes, [0.1127016653792583, 0.5, 0.8872983346207417], rtol=1e-14)
    np.testing.assert_allclose(weights, np.array([5, 8, 5]) / 18, rtol=1e-14)
    expected = {
        "left": [0, 0.25, 0.5, 0.75],
        "right": [0.25, 0.5, 0.75, 1],
        "middle": [0.125, 0.375, 0.625, 0.875],
        "trapezoid": [0, 1 / 3, 2 / 3, 1],
    }
    for rule, at in expected.items():
        np.testing.assert_allclose(RULES[rule](4)[0], at, rtol=1e-14)
    np.testing.assert_allclose(RULES["trapezoid"](4)[1], np.array([1, 2, 2, 1]) / 6, rtol=1e-14)
    for rule in RULES.values():
        assert abs(rule(7)[1].sum() - 1) < 1e-14


def test_smoothgrad_known_answers(close):
    w = np.array([0.5, -2, 0, 3])

    def linear(x):
        return x @ jnp.asarray(w)[:, None]

    options = {"noise": 0.3, "samples": 7}
    image = row(0.1, 0.9, 0.4, 0.2)
    close(attribution(smoothgrad, linear, image, **options), w)  # SG-1
    close(attribution(smoothgrad_squared, linear, image, **options), w**2)  # SG-2
    close(attribution(vargrad, linear, image, **options), 0 * w)  # SG-3
    for method, value in ((smoothgrad, 3), (smoothgrad_squared, 9), (vargrad, 0)):
        close(attribution(method, multilayer, row(*ROWS[0]), noise=0.0), [value] * 3)  # SG-5


def test_smoothgrad_of_squares_with_the_same_noise(close):
    """SG-4, and the noise is a share of the image's own range."""
    image = row(0.2, 0.9, 0.4)
    samples = [jax.random.split(jax.random.fold_in(KEY(), i))[0] for i in range(5)]
    eps = 0.3 * 0.7 * np.stack([jax.random.normal(k, image.shape)[0, :, 0] for k in samples])
    slopes = 2 * (np.asarray(image)[0, :, 0] + eps)
    options = {"noise": 0.3, "samples": 5}
    close(attribution(smoothgrad, squares, image, **options), slopes.mean(0))
    close(attribution(smoothgrad_squared, squares, image, **options), (slopes**2).mean(0))
    close(attribution(vargrad, squares, image, **options), slopes.var(0))


def tanh_net(weights, images):
    """Three classes of which none is linear in the pixels."""
    return jnp.tanh(images.reshape(len(images), -1) @ weights) * 3


@pytest.fixture
def smooth():
    """Returns a classifier and an image, once float64 is set."""

    def build():
        weights = 0.3 * jax.random.normal(jax.random.key(5), (4 * 5 * 2, 3))
        return Partial(tanh_net, weights), jax.random.uniform(jax.random.key(1), (4, 5, 2))

    return build


FAMILY = {
    "gradient": (gradient, {}),
    "input_x_gradient": (input_x_gradient, {}),
    "integrated_gradients": (integrated_gradients, {"steps": 5}),
    "integrated_gradients-infill": (integrated_gradients, {"steps": 5, "infill": random()}),
    "smoothgrad": (smoothgrad, {"samples": 5}),
    "smoothgrad_squared": (smoothgrad_squared, {"samples": 5}),
    "vargrad": (vargrad, {"samples": 5}),
    "vargrad-products": (vargrad, {"samples": 5, "method": "input_x_gradient"}),
    "expected_gradients": (expected_gradients, {"samples": 5, "infill": random()}),
}
CHUNKED = ["integrated_gradients", "vargrad", "expected_gradients"]
DISTINCT = [
    "gradient", "input_x_gradient", "integrated_gradients-infill", "smoothgrad", "vargrad-products",
    "expected_gradients",
]  # fmt: skip


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("score", ["logit", "log_odds"])
def test_integrated_gradients_are_the_slow_loop(smooth, score):
    classifier, image = smooth()
    baseline = image[::-1]
    weights = np.asarray(classifier.args[0])

    def slow_score(x):
        logits = np.tanh(np.asarray(x).ravel() @ weights) * 3
        p = np.exp(logits) / np.exp(logits).sum()
        return logits[1] if score == "logit" else np.log(p[1] / (1 - p[1]))

    total = np.zeros(image.shape)
    for step in range(1, 5):
        x = np.asarray(baseline + step / 4 * (image - baseline))
        for place in np.ndindex(x.shape):
            nudge = np.zeros(x.shape)
            nudge[place] = 1e-5
            total[place] += (slow_score(x + nudge) - slow_score(x - nudge)) / 2e-5 / 4
    expected = np.asarray(image - baseline) * total
    saliency, info = run(
        integrated_gradients, classifier, image, 1, baseline=baseline, steps=4, score=score
    )
    np.testing.assert_allclose(info.attribution, expected, atol=1e-8)
    np.testing.assert_allclose(saliency, expected.sum(-1), atol=1e-8)
    gap = expected.sum() - (slow_score(image) - slow_score(baseline))
    np.testing.assert_allclose(info.gap, gap, atol=1e-8)
    np.testing.assert_allclose(info.score, slow_score(image), atol=1e-12)
    np.testing.assert_array_equal(info.reference, baseline)


@pytest.mark.usefixtures("float64")
def test_completeness_improves_with_steps(smooth):
    classifier, image = smooth()
    for rule, most in (("left", 0.1), ("right", 0.1), ("middle", 1e-3), ("trapezoid", 2e-3),
                       ("gauss-legendre", 1e-9)):  # fmt: skip
        few, many = (
            abs(run(integrated_gradients, classifier, image, rule=rule, steps=n).info.gap)
            for n in (8, 64)
        )
        assert many < few
        assert many < most


@pytest.mark.usefixtures("float64")
def test_expected_gradients_are_the_slow_loop(smooth):
    classifier, image = smooth()
    infill = random()
    rows, references = [], []
    for i in range(6):
        infill_key, alpha_key = jax.random.split(jax.random.fold_in(KEY(), i))
        reference = infill(infill_key, image, jnp.zeros(image.shape[:2]))
        alpha = jax.random.uniform(alpha_key, (), image.dtype)
        point = reference + alpha * (image - reference)
        slope = jax.grad(lambda x: classifier(x[None])[0, 2])(point)
        rows.append(np.asarray((image - reference) * slope))
        references.append(reference)
    saliency, info = run(expected_gradients, classifier, image, 2, infill=infill, samples=6)
    np.testing.assert_allclose(info.attribution, np.mean(rows, 0), rtol=1e-10)
    np.testing.assert_allclose(info.error, np.std(rows, 0, ddof=1) / 6**0.5, rtol=1e-10)
    np.testing.assert_allclose(info.reference, np.mean(references, 0), rtol=1e-10)
    np.testing.assert_allclose(saliency, np.mean(rows, 0).sum(-1), rtol=1e-9)


@pytest.mark.usefixtures("float64")
def test_expected_gradients_are_complete_on_average(smooth):
    classifier, image = smooth()
    keys = jax.random.split(jax.random.key(9), 4000)
    nothing = jnp.zeros(image.shape[:2])
    references = jax.vmap(lambda k: random()(k, image, nothing))(keys)
    expected = classifier(image[None])[0, 0] - classifier(references)[:, 0].mean()

    @jax.jit
    @jax.vmap
    def total(key):
        explanation = expected_gradients(key, classifier, image, 0, infill=random(), samples=500)
        return explanation.saliency.sum()

    totals = np.asarray(total(jax.random.split(KEY(), 8)))
    error = np.std(totals, ddof=1) / 8**0.5
    assert abs(np.mean(totals) - expected) < 4 * error + 0.05
    assert error < 0.2


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", CHUNKED)
def test_no_result_depends_on_the_chunk(smooth, name):
    classifier, image = smooth()
    method, options = FAMILY[name]
    whole = run(method, classifier, image, **options)
    for chunk in (1, 3):
        part = run(method, classifier, image, chunk=chunk, **options)
        for one, other in zip(jax.tree.leaves(part), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_chunks_are_weighted_and_never_larger():
    values = np.random.default_rng(0).normal(size=(11, 3))
    weights = np.arange(1.0, 12) / 66
    centre = weights @ values
    for chunk in (1, 2, 3, 4, 5, 10, 11, 12):
        sizes = []

        def read(indices):
            sizes.append(len(indices))  # noqa: B023
            return jnp.asarray(values)[indices]

        average, variance = mean_and_variance(read, jnp.asarray(weights), chunk)
        np.testing.assert_allclose(average, centre, rtol=1e-12)
        np.testing.assert_allclose(variance, weights @ (values - centre) ** 2, rtol=1e-12)
        assert max(sizes) <= chunk


@pytest.mark.parametrize("name", DISTINCT)
def test_jit_equals_eager_and_vmap_equals_a_loop(smooth, name):
    classifier, image = smooth()
    method, options = FAMILY[name]
    images = jnp.stack([image, 0.5 * image])
    keys = jax.random.split(jax.random.key(3), 2)
    targets = jnp.array([2, 0])

    def one(key, image, target):
        return method(key, classifier, image, target, **options)

    batch = jax.jit(jax.vmap(one))(keys, images, targets)
    eager = one(keys[1], images[1], targets[1])  # not compiled as a whole
    assert eager.saliency.dtype == jnp.float32
    assert eager.saliency.shape == (4, 5)
    compiled = jax.jit(one)(keys[1], images[1], targets[1])
    for other in (compiled, jax.tree.map(lambda leaf: leaf[1], batch)):
        for a, b in zip(jax.tree.leaves(eager), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", DISTINCT)
def test_gradients_go_through_in_float64(smooth, name):
    classifier, image = smooth()
    method, options = FAMILY[name]

    @jax.jit
    def loudness(image):
        saliency = method(KEY(), classifier, image, 0, **options).saliency
        return jnp.sum(saliency**2)

    assert loudness(image).dtype == jnp.float64
    slope = jax.jit(jax.grad(loudness))(image)
    direction = jax.random.normal(jax.random.key(2), image.shape)
    numeric = (loudness(image + 1e-6 * direction) - loudness(image - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(jnp.vdot(slope, direction), numeric, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILY)
def test_finds_the_planted_pixels(planted, name):
    image = jax.random.uniform(jax.random.key(7), (12, 12, 3), minval=0.6, maxval=1.0)
    method, options = FAMILY[name]
    options = options | ({"infill": mean(0.0)} if "infill" in options else {})
    saliency = np.asarray(run(method, planted, image, **options).saliency)
    inside = np.zeros((12, 12), bool)
    inside[PLANTED] = True
    if "vargrad" in name and "products" not in name:
        np.testing.assert_allclose(
            saliency, 0, atol=1e-12
        )  # without curvature there is no variance
    else:
        assert saliency[inside].min() > saliency[~inside].max()
        assert saliency[inside].min() > 0  # evidence for the class is positive


def test_inner_methods(smooth):
    """Around a name whose steps fill the chunk, and around functions."""
    classifier, image = smooth()
    options = {"samples": 3, "noise": 0.2}
    by_name = run(smoothgrad, classifier, image, method="integrated_gradients", **options)
    by_function = run(smoothgrad, classifier, image, method=integrated_gradients, **options)
    np.testing.assert_allclose(by_name.saliency, by_function.saliency, rtol=1e-5)
    inner = functools.partial(expected_gradients, infill=random(), samples=4)
    saliency, info = run(smoothgrad, classifier, image, method=inner, **options)
    explain = jax.jit(lambda key, image: inner(key, classifier, image, 0))
    expected = []
    for i in range(3):
        noise_key, inner_key = jax.random.split(jax.random.fold_in(KEY(), i))
        sigma = 0.2 * (image.max() - image.min())
        copy = image + sigma * jax.random.normal(noise_key, image.shape)
        expected.append(explain(inner_key, copy).info.attribution)
    np.testing.assert_allclose(info.attribution, np.mean(expected, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(saliency, np.abs(np.mean(expected, 0)).max(-1), rtol=1e-4, atol=1e-5)


def test_the_score_and_its_default(smooth):
    classifier, image = smooth()
    p = jax.nn.softmax(classifier(image[None])[0])[1]
    for method in (gradient, input_x_gradient, smoothgrad):
        found = run(method, classifier, image, 1, score="probability").info.score
        np.testing.assert_allclose(found, p, rtol=1e-5)
    default = run(gradient, classifier, image, 1)
    np.testing.assert_allclose(default.info.score, classifier(image[None])[0, 1], rtol=1e-6)
    slope = jax.grad(lambda x: classifier(x[None])[0, 1])(image)
    np.testing.assert_allclose(default.info.attribution, slope, rtol=1e-5)


def test_the_baseline_may_be_an_infill_of_nothing(smooth):
    classifier, image = smooth()

    def darker(key, image, mask):
        del key
        return image * mask[..., None] + 0.25 * (1 - mask[..., None])

    by_infill = run(integrated_gradients, classifier, image, infill=darker)
    by_number = run(integrated_gradients, classifier, image, baseline=0.25)
    np.testing.assert_allclose(by_infill.saliency, by_number.saliency, rtol=1e-5)
    np.testing.assert_allclose(by_infill.info.reference, 0.25)
    black = run(integrated_gradients, classifier, image)
    np.testing.assert_array_equal(black.info.reference, 0)
    info = run(expected_gradients, classifier, image, infill=darker, samples=2).info
    np.testing.assert_allclose(info.reference, 0.25)


def test_channels():
    attribution = jnp.array([[[3.0, -4.0]]])
    values = {name: float(reduce(attribution)[0, 0]) for name, reduce in CHANNELS.items()}
    assert values == {"max": 4, "sum": -1, "abs": 7, "norm": 5}


@pytest.mark.parametrize("name", ["integrated_gradients", "smoothgrad", "expected_gradients"])
def test_in_a_batch(smooth, name):
    classifier, image = smooth()
    method, options = FAMILY[name]
    images = np.stack([image, image[::-1], 0.5 * image])
    batch = explain_batch(method, classifier, images, [0, 1, 2], options=options, batch_size=2)
    assert batch.saliency.shape == (3, 4, 5)
    assert np.isfinite(batch.saliency).all()


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (gradient, {"score": "loss"}, "score: there is no 'loss'"),
        (gradient, {"channels": "mean"}, "channels: there is no 'mean'"),
        (integrated_gradients, {"rule": "gauss"}, "rule: there is no 'gauss'; did you mean gauss-"),
        (integrated_gradients, {"steps": 0}, "steps is 0, expected at least 1"),
        (integrated_gradients, {"steps": 1, "rule": "trapezoid"}, "expected at least 2"),
        (smoothgrad, {"method": "ig"}, "method: there is no 'ig'; it is one of gradient"),
        (vargrad, {"samples": 0}, "samples is 0"),
        (smoothgrad, {"chunk": 0}, "chunk is 0"),
        (expected_gradients, {"infill": mean(), "samples": -1}, "samples is -1"),
    ],
)
def test_bad_options_are_named(smooth, method, options, message):
    classifier, image = smooth()
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda f, x: method(KEY(), f, x, 0, **options), classifier, image)
