"""VarSal: its network, its objective against slow sums, and the method on planted encoders."""

import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PLANTED, linear
from flax import nnx
from jax.tree_util import Partial

from fidojax.core.scores import class_divergence
from fidojax.methods.varsal.objective import baseline_picture, varsal_objective
from fidojax.methods.varsal.soft_tv import soft_tv_kl, standard_normal_kl
from fidojax.methods.varsal.varsal import varsal
from fidojax.networks import VarSalNetwork, fold, load_encoder, weight_files

SMALL = (6, 5, 4)


def gaussians(weights, images):
    """An encoder by hand: the mean is the weighted brightness, the log-variance its negation."""
    mean = jnp.einsum("nhwc,hwc->nhw", images, weights)
    return mean, -mean


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(7), (8, 9, 3))


@pytest.fixture
def encoder():
    return Partial(gaussians, jax.random.normal(jax.random.key(1), (8, 9, 3)))


@pytest.fixture
def classifier():
    return Partial(linear, 0.1 * jax.random.normal(jax.random.key(2), (8, 9, 3)))


def drawn(seed, **options):
    """A network whose arrays are all drawn, those of batch norm, too; compiles no initialiser."""
    rng = np.random.default_rng(seed)
    graph, state = nnx.split(
        nnx.eval_shape(lambda: VarSalNetwork(3, SMALL, rngs=nnx.Rngs(0), **options))
    )

    def draw(leaf):
        low, high = (-0.4, 0.5) if len(leaf.shape) > 1 else (0.1, 0.9)
        return jnp.asarray(rng.uniform(low, high, leaf.shape), leaf.dtype)

    return nnx.merge(graph, jax.tree.map(draw, state))


@pytest.fixture(scope="module")
def trained():
    return drawn(0)


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("varsal") / "weights.npz"
    weight_files.save(path, fold(trained))
    return path


def objectives(classifier, image, mean, log_variance, *variants):
    """The objective with each of the options, for one key; in one program, to compile less."""

    @jax.jit
    def compute(*given):
        return [varsal_objective(jax.random.key(0), *given, **options) for options in variants]

    return compute(classifier, image, mean, log_variance)


@pytest.fixture
def posterior(encoder, image):
    return [part[0] for part in encoder(image[None])]


def test_mean_deviation_and_samples(image, encoder, posterior, classifier):
    explained = varsal(jax.random.key(0), classifier, image, 0, encoder=encoder, samples=4000)
    mean, log_variance = posterior
    np.testing.assert_array_equal(explained.saliency, mean)
    deviation = jnp.exp(log_variance) ** 0.5
    np.testing.assert_allclose(explained.info.standard_deviation, deviation, rtol=1e-5)
    scores = (explained.info.samples - mean) / deviation
    assert float(jnp.abs(scores.mean(0)).max()) < 5 / 4000**0.5
    np.testing.assert_allclose(scores.std(0), 1, atol=5 / 8000**0.5)
    between = np.corrcoef(scores[:, 0, 0], scores[:, 0, 1])[0, 1]
    assert abs(between) < 5 / 4000**0.5, "pixels are independent"


def test_classifier_and_target_are_ignored(image, encoder, classifier):
    one = varsal(jax.random.key(0), classifier, image, 0, encoder=encoder)
    other = varsal(jax.random.key(0), Partial(jnp.sum), image, 3, encoder=encoder)
    np.testing.assert_array_equal(one.saliency, other.saliency)
    assert one.info.samples.shape == (0, 8, 9)


def test_bad_options_are_named(image, encoder, posterior, classifier):
    with pytest.raises(ValueError, match="samples is -1, expected at least 0"):
        varsal(jax.random.key(0), classifier, image, 0, encoder=encoder, samples=-1)
    shorter = Partial(lambda e, images: tuple(part[:, :, 1:] for part in e(images)), encoder)
    with pytest.raises(ValueError, match=r"encoder: its maps have shape \(8, 8\), expected the"):
        varsal(jax.random.key(0), classifier, image, 0, encoder=shorter)
    for option, value in [("prior", "laplace"), ("baselines", ("blur", "zero"))]:
        with pytest.raises(ValueError, match=f"{option}: there is no"):
            objectives(classifier, image, *posterior, {option: value})
    with pytest.raises(ValueError, match="baselines is empty, expected at least one of blur"):
        objectives(classifier, image, *posterior, {"baselines": ()})


def test_papers_network():
    network = nnx.eval_shape(lambda: VarSalNetwork(norm=False, rngs=nnx.Rngs(0)))
    convs = [*(layer.conv for layer in network.hidden), network.posterior]
    kernels = [conv.kernel.get_value() for conv in convs]
    assert sum(math.prod(kernel.shape) for kernel in kernels) == 184_032
    assert [k.shape[3] for k in kernels] == [64] * 4 + [32] * 5 + [16] * 6 + [2]
    assert all(k.shape[:2] == (3, 3) for k in kernels)
    shapes = jax.eval_shape(lambda net, images: net(images), network, jnp.zeros((2, 32, 24, 3)))
    assert [part.shape for part in shapes] == [(2, 32, 24)] * 2


def test_last_layer_is_linear(trained):
    """So a mean may be negative and a variance below 1."""
    images = jax.random.uniform(jax.random.key(3), (4, 8, 9, 3))
    negated = drawn(0)
    last: Any = negated.posterior
    for part in (last.kernel, last.bias):
        part.set_value(-part.get_value())
    for one, other in zip(trained(images), negated(images), strict=True):
        np.testing.assert_allclose(one, -other, rtol=1e-5)


def test_folded_network_is_the_same_function(trained):
    images = jax.random.uniform(jax.random.key(5), (3, 7, 11, 3))
    for one, other in zip(trained(images), fold(trained)(images), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    with pytest.raises(ValueError, match="fold needs a network with norm=True"):
        fold(fold(trained))


def test_stored_encoder(trained, weights, tmp_path):
    images = jax.random.uniform(jax.random.key(5), (2, 8, 9, 3))
    encoder = load_encoder(weights)
    assert jax.tree.leaves(encoder)
    for one, other in zip(encoder(images), trained(images), strict=True):
        np.testing.assert_allclose(one, other, rtol=0.02, atol=0.01)
    traces = []

    @jax.jit
    def explain(encoder):
        traces.append(0)
        return varsal(jax.random.key(0), Partial(jnp.sum), images[0], 0, encoder=encoder)

    other = tmp_path / "other.npz"
    weight_files.save(other, drawn(1, norm=False))
    maps = [explain(load_encoder(path)).saliency for path in (weights, other)]
    assert len(traces) == 1
    assert bool(jnp.any(maps[0] != maps[1]))


def test_pictures_of_another_size_are_refused(weights, image, classifier, tmp_path):
    grey = jnp.zeros((1, 8, 9, 1))
    with pytest.raises(
        ValueError, match="images are 8 x 9 x 1, but the encoder is for any x any x 3"
    ):
        load_encoder(weights)(grey)
    encoder = load_encoder(weights, size=(64, 64, 3))
    with pytest.raises(
        ValueError, match="images are 8 x 9 x 3, but the encoder is for 64 x 64 x 3"
    ):
        varsal(jax.random.key(0), classifier, image, 0, encoder=encoder)
    np.savez(tmp_path / "no.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="expected the arrays of a VarSalNetwork"):
        load_encoder(tmp_path / "no.npz")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_encoder(tmp_path / "none.npz")


def test_class_divergence_is_the_sum_over_classes():
    original, perturbed = jax.random.normal(jax.random.key(0), (2, 5, 7))
    p, q = (np.asarray(jax.nn.softmax(each), np.float64) for each in (original, perturbed))
    expected = (p * np.log(p / q)).sum(-1)
    np.testing.assert_allclose(class_divergence(original, perturbed), expected, rtol=1e-4)
    sure = class_divergence(jnp.array([1e4, 0.0]), jnp.array([0.0, 0.0]))
    np.testing.assert_allclose(sure, np.log(2), rtol=1e-6)


def test_baselines_are_what_they_say(image):
    def draw(name, key=0, noise=0.05):
        return baseline_picture(jax.random.key(key), image, 0, (name,), 1.0, noise)

    np.testing.assert_array_equal(draw("blur"), draw("blur", 1))
    assert float(draw("blur").std()) < 0.7 * float(image.std())
    np.testing.assert_allclose(draw("noise").mean(), 0.5, atol=0.02)
    np.testing.assert_allclose(draw("noise").std(), 0.05, rtol=0.2)
    np.testing.assert_allclose(draw("mean", noise=0.0)[3, 3], image.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose((draw("mean") - image.mean((0, 1))).std(), 0.05, rtol=0.2)
    assert bool(jnp.any(draw("mean") != draw("mean", 1)))
    wild = draw("noise", noise=3.0)
    assert float(wild.min()) == 0
    assert float(wild.max()) == 1


def test_objective_is_reconstruction_and_weighted_prior(image, posterior, classifier):
    (loss, reconstruction, divergence), twice, plain = objectives(
        classifier, image, *posterior, {}, {"half": False}, {"prior": "standard", "beta": 0.5}
    )
    np.testing.assert_allclose(divergence, soft_tv_kl(*posterior), rtol=1e-5)
    np.testing.assert_allclose(loss, reconstruction + divergence / 720, rtol=1e-5)
    np.testing.assert_allclose(twice.loss, reconstruction + 2 * divergence / 720, rtol=1e-5)
    expected = standard_normal_kl(*posterior)
    np.testing.assert_allclose(plain.loss, plain.reconstruction + 0.5 * expected, rtol=1e-5)
    np.testing.assert_allclose(plain.reconstruction, reconstruction, rtol=1e-5)


def test_reconstruction_shows_the_top_of_the_map(image, classifier):
    """With a certain map, a small epsilon and a baseline of one colour it can be done by hand."""
    mean = jax.random.permutation(jax.random.key(3), jnp.linspace(-2.0, 2.0, 72)).reshape(8, 9)
    certain = (classifier, image, mean, jnp.full((8, 9), -60.0))
    plain = {"kept": 0.25, "baselines": ("blur", "mean"), "baseline": 1, "noise": 0.0}
    top = (mean >= jnp.sort(mean.ravel())[-18])[..., None]
    seen = jnp.where(top, image, image.mean((0, 1)))
    expected = class_divergence(*classifier(jnp.stack([image, seen])))
    assert float(expected) > 1e-4
    variants = ({"epsilon": 1e-4}, {"epsilon": 0.05}, {"epsilon": 0.05, "hard": True})
    sharp, soft, hard = objectives(*certain, *(plain | variant for variant in variants))
    np.testing.assert_allclose(sharp.reconstruction, expected, rtol=1e-3)
    assert not np.isclose(soft.reconstruction, expected, rtol=0.3)
    np.testing.assert_allclose(hard.reconstruction, expected, rtol=0.2)


def test_gradient_of_a_rounded_mask_is_the_soft_ones(image, posterior, classifier):
    def values(mean):
        variants = ({"epsilon": 0.1}, {"epsilon": 0.1, "hard": True})
        both = objectives(classifier, image, mean, jnp.full((8, 9), -20.0), *variants)
        return jnp.stack([each.reconstruction for each in both])

    soft, hard = jax.jit(jax.jacrev(values))(posterior[0])
    assert bool(jnp.all(jnp.isfinite(hard)))
    assert bool(jnp.any(hard != soft))
    assert np.corrcoef(soft.ravel(), hard.ravel())[0, 1] > 0.8


def test_draws_differ_by_key_and_stay_in_range(image, posterior, classifier, monkeypatch):
    ks, kinds = [], []

    def topk(scores, k, epsilon):
        jax.debug.callback(lambda value: ks.append(float(value)), k)
        return scores

    def picture(key, image, baseline, *options):
        jax.debug.callback(lambda value: kinds.append(int(value)), baseline)
        return image

    file = sys.modules[varsal_objective.__module__]  # the package names the function after its file
    monkeypatch.setattr(file, "soft_top_k", topk)
    monkeypatch.setattr(file, "baseline_picture", picture)

    @jax.jit
    @jax.vmap
    def draw(key):
        return varsal_objective(key, classifier, image, *posterior, prior="standard")

    jax.block_until_ready(draw(jax.random.split(jax.random.key(0), 64)))
    jax.effects_barrier()
    assert len(set(ks)) == 64
    assert 7.2 <= min(ks) < 15
    assert 57 < max(ks) <= 64.8
    assert all(kinds.count(kind) >= 8 for kind in (0, 1, 2))


def test_training_finds_the_pixels_that_decide(planted):
    """Descending the objective in the posterior's own parameters ranks the planted patch first."""
    image = jax.random.uniform(jax.random.key(7), (12, 12, 3), minval=0.6, maxval=1.0)

    def loss(posterior, key):
        def one(key):
            given = (key, planted, image, *posterior)
            return varsal_objective(*given, epsilon=0.05, baselines=("noise",), noise=0.0).loss

        return jax.vmap(one)(jax.random.split(key, 16)).mean()

    @jax.jit
    def step(posterior, key):
        return posterior - 5.0 * jax.grad(loss)(posterior, key)

    posterior = jnp.zeros((2, 12, 12)).at[1].set(-2.0)
    for i in range(60):
        posterior = step(posterior, jax.random.key(i))
    assert bool(jnp.all(jnp.isfinite(posterior)))
    mean, inside = np.asarray(posterior[0]), np.zeros((12, 12), bool)
    inside[PLANTED] = True
    assert np.median(mean[inside]) > np.quantile(mean[~inside], 0.95)
