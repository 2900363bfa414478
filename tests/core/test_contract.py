"""The contract as a table: what a classifier returns or a target is, and what is said."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial

import fidojax
from fidojax.core import (
    SCORES,
    ProbabilityWarning,
    Split,
    as_classifier,
    check_classifier,
    check_outputs,
    check_target,
    probability,
)
from fidojax.metrics import METRICS
from fidojax.networks import binary, multi_label

SHAPE = (4, 4, 3)
IMAGE = np.random.default_rng(0).random(SHAPE, np.float32)
WEIGHTS = jax.random.normal(jax.random.key(0), (*SHAPE, 3))


def network(weights, images):
    return jnp.einsum("nhwc,hwck->nk", images, weights)


CLASSIFIER = Partial(network, WEIGHTS)

OUTPUTS = {
    "(n, 1)": (lambda x: x.sum((1, 2, 3))[:, None], r"one value per image.*networks\.binary"),
    "(n,)": (lambda x: x.sum((1, 2, 3)), r"one value per image, float32 \(4,\)"),
    "tuple": (lambda x: (x.sum((1, 2)), x), r"a tuple of float32 \(4, 3\), float32 \(4, 4, 4, 3\)"),
    "dict": (lambda x: {"logits": x.sum((1, 2))}, "a dict of 'logits', expected one array"),
    "list": (lambda x: [x.sum((1, 2))], "a list of"),
    "None": (lambda x: None, "a NoneType"),
    "(n, 1, 1, k)": (lambda x: x.mean((1, 2), keepdims=True), r"reshape it to \(4, 3\)"),
    "(n, h, w, k)": (lambda x: x, r"take the mean over the axes \(1, 2\)"),
    "(1, k)": (lambda x: x.sum((0, 1, 2))[None], "one row of logits for each image"),
    "integers": (lambda x: x.astype(int).sum((1, 2)), "expected floating numbers"),
    "NumPy": (lambda x: np.asarray(x).sum((1, 2)), "write it with jax.numpy"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_a_classifier_returns(name):
    function, message = OUTPUTS[name]
    with pytest.raises((TypeError, ValueError), match=message):
        check_classifier(Partial(function), SHAPE)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (3, "target is 3, expected 0 to 2: the classifier has 3 classes"),
        (1000, "target is 1000"),
        (-1, "target is -1"),
        (np.int64(3), "target is 3"),
        (jnp.int32(-1), "target is -1"),
        (1.0, "target is 1.0, expected the index of a class, an integer"),
        (True, "target is True"),
        (None, "target is None"),
        ("cat", "target is 'cat'"),
        (np.array([0, 1]), r"target has shape \(2,\).*explain_batch"),
    ],
)
def test_what_a_target_is(target, message):
    with pytest.raises((TypeError, ValueError), match=message):
        check_target(target, 3)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("target", [3, 1000, -1])
def test_a_traced_target_that_is_no_class_makes_scores_and_gradients_nan(score, target):
    logits = jnp.array([1.0, 2.0, 4.0])
    value, slope = jax.jit(jax.value_and_grad(SCORES[score]))(logits, target)
    assert np.isnan(value)
    assert np.isnan(slope).all()
    with pytest.raises(ValueError, match=f"target is {target}"):
        SCORES[score](logits, target)


class Bound:
    """A network that keeps its weights to itself."""

    def __init__(self):
        self.weights = WEIGHTS

    def __call__(self, images):
        return network(self.weights, images)


PLAIN = {
    "lambda": lambda images: network(WEIGHTS, images),
    "jit": jax.jit(functools.partial(network, WEIGHTS)),
    "partial": functools.partial(network, WEIGHTS),
    "partial of a flag": functools.partial(lambda w, x, flag: network(w, x), WEIGHTS, flag=False),
    "bound method": Bound().__call__,
    "object": Bound(),
    "pytree": CLASSIFIER,
    "parts": Split(lambda images: images, lambda images: network(WEIGHTS, images)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_callables_explain_as_the_pytree_does(name):
    traces = 0

    def method(key, classifier, image, target):
        nonlocal traces
        traces += 1
        return fidojax.gradient(key, classifier, image, target)

    for _ in range(2):
        found = fidojax.explain_batch(method, PLAIN[name], IMAGE[None], [1], rewrite=False)
        np.testing.assert_allclose(found.saliency[0], np.abs(WEIGHTS[..., 1]).max(-1), rtol=1e-6)
    assert traces == 1


def test_new_weights_of_a_plain_function_are_seen():
    """Its compiled programs hold the weights: stale ones would be explained without a word."""
    held = Bound()

    def explain():
        return fidojax.explain_batch("gradient", lambda_of_held, IMAGE[None], [1]).saliency

    def lambda_of_held(images):
        return network(held.weights, images)

    first = explain()
    held.weights = 2 * WEIGHTS
    np.testing.assert_allclose(explain(), 2 * first, rtol=1e-6)


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (nnx.Linear(3, 2, rngs=nnx.Rngs(0)), r"a flax\.nnx module, Linear: pass .*from_nnx"),
        ({"w": WEIGHTS}, "classifier is a dict, expected a callable"),
        ((network, WEIGHTS), "classifier is a tuple.*Partial"),
        (Partial(network, "weights"), "a leaf of type str"),
    ],
)
def test_what_is_no_classifier(classifier, message):
    with pytest.raises(TypeError, match=message):
        as_classifier(classifier, SHAPE)


NO_LOGITS = {
    "softmax": (jax.nn.softmax, "returns probabilities.*activation=None"),
    "softmax, reshaped": (lambda x: jax.nn.softmax(x)[:, None].reshape(x.shape), "probabilities"),
    "softmax in float16": (lambda x: jax.nn.softmax(x.astype(jnp.float16)), "probabilities"),
    "ensemble": (lambda x: (jax.nn.softmax(x) + jax.nn.softmax(-x)) / 2, "probabilities"),
    "sums of classes": (lambda x: jax.nn.softmax(x) @ jnp.eye(3), "probabilities"),
    "sigmoid": (jax.nn.sigmoid, r"values in \[0, 1\].*networks\.binary or multi_label"),
    "hard sigmoid": (jax.nn.hard_sigmoid, "leave the sigmoid out"),
}


@pytest.mark.parametrize("name", NO_LOGITS)
def test_probabilities_taken_for_logits(name):
    last, message = NO_LOGITS[name]
    classifier = Partial(lambda w, x: last(network(w, x)), WEIGHTS)
    with pytest.warns(ProbabilityWarning, match=message):
        check_outputs(classifier, IMAGE)
    with pytest.warns(ProbabilityWarning, match=message):
        fidojax.explain_batch("gradient", classifier, IMAGE[None], [0])
    with pytest.raises(ValueError, match=message):
        fidojax.explain_batch("gradient", classifier, IMAGE[None], [0], strict=True)
    with pytest.raises(ValueError, match=message):
        fidojax.measure_batch(
            "erasing", classifier, IMAGE[None], [0], IMAGE[None, ..., 0], strict=True
        )


def test_log_probabilities_matter_to_the_logit_alone():
    classifier = Partial(lambda w, x: jax.nn.log_softmax(network(w, x)), WEIGHTS)
    check_outputs(classifier, IMAGE, score="log_odds", strict=True)
    with pytest.raises(ValueError, match="the score 'logit' is log p"):
        check_outputs(classifier, IMAGE, score="logit", strict=True)


@pytest.mark.parametrize("last", [lambda x: x, lambda x: x + 1, lambda x: 0 * x], ids=range(3))
def test_logits_are_not_taken_for_probabilities(last):
    check_outputs(Partial(lambda w, x: last(network(w, x)), WEIGHTS), IMAGE, strict=True)


def test_the_check_compiles_nothing_and_traces_once():
    traces = []

    def counted(weights, images):
        traces.append(len(images))
        return network(weights, images) + 1

    for scale in (1, 2):
        classifier = Partial(counted, scale * WEIGHTS)
        assert check_classifier(as_classifier(classifier), SHAPE) == 3
        check_outputs(classifier, IMAGE)
    assert len(traces) == 1


def test_a_logit_of_4_2_means_the_probability_of_two_logits():
    one = binary(lambda images: jnp.full((len(images), 1), 4.2))
    two = jnp.array([0, 4.2])
    assert float(probability(one(IMAGE[None])[0], 1)) == pytest.approx(0.9852, abs=1e-4)
    labels = multi_label(lambda images: jnp.full((len(images), 3), jnp.array([1.0, 4.2, 0])), 1)
    for classifier in (one, labels):
        np.testing.assert_array_equal(classifier(IMAGE[None])[0], two)


BLACK = Partial(lambda key, image, mask: jnp.zeros_like(image))
RUNS = {
    "rise": {"samples": 8, "size": 2},
    "occlusion": {"window": 2, "stride": 2},
    "fido": {"infill": BLACK, "steps": 3, "samples": 2},
    "bbmp": {"infill": BLACK, "steps": 3},
    "deletion": {"infill": BLACK, "steps": 4},
    "removal": {"infill": BLACK, "stride": 4},
    "sufficiency": {"infill": BLACK, "points": 4},
}


@pytest.mark.parametrize("name", RUNS)
def test_one_logit_is_explained_and_measured_as_two_logits_are(name):
    def scalar(weights, images):
        return network(weights, images)[:, :1]

    def pair(weights, images):
        return jnp.concatenate([0 * scalar(weights, images), scalar(weights, images)], axis=1)

    def run(classifier):
        key = jax.random.key(1)
        if name in METRICS:
            found = METRICS[name](key, classifier, IMAGE, 1, IMAGE[..., 0], **RUNS[name])
        else:
            found = fidojax.METHODS[name](key, classifier, IMAGE, 1, **RUNS[name])
        return jax.tree.leaves(found)

    expected = run(Partial(pair, WEIGHTS))
    for one in (binary(Partial(scalar, WEIGHTS)), multi_label(CLASSIFIER, 0)):
        for found, value in zip(run(one), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


def test_labels_and_logits_that_are_not_there():
    with pytest.raises(ValueError, match=r"binary expects one logit per image.*got \(1, 3\)"):
        binary(CLASSIFIER)(IMAGE[None])
    with pytest.raises(ValueError, match="target is 3, expected 0 to 2"):
        multi_label(CLASSIFIER, 3)(IMAGE[None])
