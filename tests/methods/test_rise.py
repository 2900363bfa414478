"""RISE against enumeration, a slow loop and scikit-image's masks."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PLANTED, linear
from jax.tree_util import Partial
from skimage.transform import resize

import infillers
from fidojax.core import loop as loops
from fidojax.core import moments
from fidojax.methods.rise import contributions, draw_mask, rise, rise_loop

KEY = jax.random.key(0)


def curved(weights, images):
    return jnp.tanh(images.reshape(len(images), -1) @ weights) * 3


@pytest.fixture
def classifier():
    return Partial(curved, jax.random.normal(jax.random.key(5), (48, 4)) / 2)


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(1), (4, 6, 2))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("centred", "expected"), [(False, [4, 2.5, 6.5, 4.5]), (True, [0.25, -0.5, 1.5, 0.5])]
)
def test_all_masks_of_a_linear_function(centred, expected):
    weights, x = jnp.array([1, -2, 3, 0.5]), jnp.array([1.0, 1, 2, 4])
    masks = jnp.array(list(itertools.product([0.0, 1.0], repeat=4)))
    values = contributions((masks * x) @ weights, masks[:, None], 0.5, centred)
    np.testing.assert_allclose(values.mean(axis=0)[0], expected, atol=1e-12)  # A-RISE


@pytest.mark.parametrize(("shape", "size"), [((12, 12), 4), ((9, 14), 7), ((5, 16), 2)])
def test_masks_are_the_enlarged_grid_cut_at_random(shape, size):
    cells = [-(-side // size) for side in shape]
    starts = set()

    @jax.jit
    @jax.vmap
    def draw(number):
        key = jax.random.fold_in(KEY, number)
        grid_key, _ = jax.random.split(key)
        grid = jax.random.bernoulli(grid_key, 0.4, (size, size))
        return draw_mask(key, shape, size, jnp.float32(0.4)), grid.astype(float)

    for mask, grid in zip(*map(np.asarray, draw(jnp.arange(12))), strict=True):
        sides = [(size + 1) * cell for cell in cells]
        large = resize(grid, sides, order=1, mode="reflect", anti_aliasing=False)
        cuts = {
            (y, x): np.abs(large[y : y + shape[0], x : x + shape[1]] - mask).max()
            for y, x in np.ndindex(*cells)
        }
        start = min(cuts, key=lambda at: cuts[at])
        assert cuts[start] < 1e-5
        starts.add(start)
    assert len(starts) > min(3, np.prod(cells) - 1)


def test_every_pixel_is_kept_with_the_same_probability():
    keys = jax.random.split(KEY, 20_000)
    masks = jax.jit(jax.vmap(lambda key: draw_mask(key, (9, 14), 4, jnp.float32(0.3))))(keys)
    np.testing.assert_allclose(masks.mean(axis=0), 0.3, atol=5 * (0.21 / 20_000) ** 0.5)


def local_of_hard_masks(key, image, mask):
    """An infiller that looks at the mask, which must be hard."""
    reference = infillers.local(3, 0.5)(key, image, mask)
    return jnp.where(jnp.all(mask * (1 - mask) == 0), reference, jnp.nan)


@pytest.fixture(scope="module")
def slow():
    """One mask after the other: 25 masks, and what the classifier said."""
    classifier = Partial(curved, jax.random.normal(jax.random.key(5), (48, 4)) / 2)
    image = jax.random.uniform(jax.random.key(1), (4, 6, 2))

    @jax.jit
    def one(number):
        mask_key, infill_key = jax.random.split(jax.random.fold_in(KEY, number))
        mask = draw_mask(mask_key, (4, 6), 3, jnp.float32(0.4))
        reference = local_of_hard_masks(infill_key, image, (mask > 0.5).astype(jnp.float32))
        seen = mask[..., None] * image + (1 - mask[..., None]) * reference
        return mask, jax.nn.softmax(classifier(seen[None]))[0, 2]

    masks, scores = zip(*(one(number) for number in range(25)), strict=True)
    return np.array(masks, np.float64), np.array(scores, np.float64)[:, None, None]


@pytest.mark.parametrize(("chunk", "centred"), [(1, True), (7, False), (7, True), (100, False)])
def test_equals_the_slow_loop(chunk, centred, classifier, image, slow):
    masks, scores = slow
    values = scores * (masks - 0.4 if centred else masks / 0.4)
    options: dict[str, Any] = {"infill": local_of_hard_masks, "samples": 25, "size": 3, "keep": 0.4}
    explain = jax.jit(partial(rise, **options, centred=centred, chunk=chunk))
    saliency, info = explain(KEY, classifier, image, 2)
    np.testing.assert_allclose(saliency, np.mean(values, axis=0), atol=1e-6)
    error = np.std(values, axis=0, ddof=1) / 25**0.5
    np.testing.assert_allclose(info.standard_error, error, atol=1e-6)
    assert saliency.dtype == jnp.float32
    assert int(info.masks) == 25


def test_black_where_no_infiller_is_given(classifier, image):
    options: dict[str, Any] = {"samples": 20, "size": 3}
    given, without = (
        jax.jit(partial(rise, **options, **more))(KEY, classifier, image, 1).saliency
        for more in ({"infill": infillers.mean(0.0)}, {})
    )
    np.testing.assert_array_equal(given, without)


def test_moments_stay_exact_in_float32():
    values = 1e4 + np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    running = moments.none_of(jnp.zeros(3))
    for part in np.split(values, 40):
        running = moments.add(running, jnp.asarray(part), jnp.ones(25, bool))
    exact = values.astype(np.float64)
    np.testing.assert_allclose(running.mean, exact.mean(axis=0), rtol=1e-6)
    error = exact.std(axis=0, ddof=1) / 1000**0.5
    np.testing.assert_allclose(moments.standard_error(running), error, rtol=1e-3)
    assert np.isinf(moments.standard_error(moments.none_of(jnp.zeros(2)))).all()
    single = moments.add(moments.none_of(jnp.zeros(3)), jnp.ones((1, 3)), jnp.ones(1, bool))
    assert np.isinf(moments.standard_error(single)).all()


def test_stops_when_the_standard_error_is_small(classifier):
    scale = jnp.array([1, 0.3, 0.1])[:, None, None, None]
    images = jax.random.uniform(jax.random.key(2), (3, 4, 6, 2)) * scale
    keys = jax.random.split(KEY, 3)
    options: dict[str, Any] = {"samples": 1990, "size": 3, "chunk": 20}

    @jax.jit
    def explain(key, image, tolerance):
        return rise(key, classifier, image, 1, tolerance=tolerance, **options)

    @jax.jit
    @jax.vmap
    def history(key, image):
        """Every chunk's record and moments where nothing stops."""
        loop = rise_loop(**options)

        def step(state, _):
            state, record = loop.step(classifier, image, 1, state)
            return state, (record, state.moments.mean)

        return jax.lax.scan(step, loop.init(key, classifier, image, 1), length=loop.steps)[1]

    records, means = history(keys, images)
    batch = jax.jit(jax.vmap(explain, in_axes=(0, 0, None)))
    stopped = batch(keys, images, 0.02)
    last = np.argmax(np.asarray(records.error) <= 0.02, axis=1)
    assert len(set(last)) > 1  # each picture at its own time
    assert last.min() > 0
    for i in range(3):
        assert int(stopped.info.masks[i]) == int(records.masks[i, last[i]]) < 1990
        np.testing.assert_allclose(stopped.saliency[i], means[i, last[i]], atol=1e-6)
        np.testing.assert_allclose(
            stopped.info.standard_error[i].max(), records.error[i, last[i]], rtol=1e-4
        )
        alone = explain(keys[i], images[i], 0.02)
        np.testing.assert_allclose(alone.saliency, stopped.saliency[i], atol=1e-6)
        assert alone.info.masks == stopped.info.masks[i]
    never = batch(keys, images, 0.0)
    np.testing.assert_array_equal(never.info.masks, [1990] * 3)
    np.testing.assert_allclose(never.saliency, means[:, -1], atol=1e-6)


def test_nothing_is_computed_after_the_stop(classifier, image):
    calls = []

    def counted(classifier, images):
        jax.debug.callback(lambda: calls.append(1))
        return classifier(images)

    seen = Partial(counted, classifier)
    _, info = rise(KEY, seen, image, 1, samples=1000, size=3, chunk=50, tolerance=0.05)
    jax.effects_barrier()
    assert len(calls) == int(info.masks) // 50 + 1 < 20  # and the image itself


def test_the_loop_is_the_method_step_by_step(classifier, image):
    options: dict[str, Any] = {"samples": 500, "size": 3, "chunk": 30}
    counts, errors = {}, [0.0]
    for tolerance in (None, "as after six chunks"):
        if tolerance:
            options["tolerance"] = errors[5]
        loop = rise_loop(**options)
        assert (loop.steps, loop.evaluations) == (17, 30)
        state, records = loop.init(KEY, classifier, image, 1), []
        step = jax.jit(loop.step)
        for _ in range(loop.steps):
            state, record = step(classifier, image, 1, state)
            records.append(record)
        one = loop.readout(classifier, image, 1, state, None)
        errors = [float(record.error) for record in records]
        counts[tolerance] = [int(record.masks) for record in records]
        np.testing.assert_allclose(one.info.standard_error.max(), errors[-1], rtol=1e-6)
        for other in (
            jax.jit(partial(rise, **options))(KEY, classifier, image, 1),
            jax.jit(partial(loops.run, loop))(KEY, classifier, image, 1),
        ):
            np.testing.assert_allclose(one.saliency, other.saliency, atol=1e-6)
            assert one.info.masks == other.info.masks
    assert counts[None] == [*range(30, 500, 30), 500]
    assert counts["as after six chunks"] == [30, 60, 90, 120, 150] + 12 * [180]


@pytest.mark.parametrize("centred", [False, True])
def test_finds_the_planted_pixels(centred, planted):
    image = jax.random.uniform(jax.random.key(7), (12, 12, 3), minval=0.6)
    options = {"samples": 8000, "size": 12, "score": "logit", "centred": centred}
    saliency, info = jax.jit(partial(rise, **options))(KEY, planted, image, 0)
    saliency, inside = np.asarray(saliency), np.zeros((12, 12), bool)
    inside[PLANTED] = True
    assert saliency[inside].min() > saliency[~inside].max()
    if centred:  # far from the patch nothing is due but noise
        assert np.abs(saliency[9:] / info.standard_error[9:]).max() < 5


def test_gradients_go_through(classifier, image):
    @jax.jit
    @jax.value_and_grad
    def total(weights, keep=0.5):
        options: dict[str, Any] = {"samples": 40, "size": 3, "chunk": 20}
        return rise(KEY, Partial(curved, weights), image, 1, keep=keep, **options).saliency.sum()

    weights = classifier.args[0]
    direction = jax.random.normal(jax.random.key(9), weights.shape)
    above, below = (total(weights + step * direction)[0] for step in (1e-2, -1e-2))
    grad = (total(weights)[1] * direction).sum()
    np.testing.assert_allclose(grad, (above - below) / 2e-2, rtol=1e-2)
    _, same = total(weights, 1.0)  # all masks alike: a variance of exactly 0
    assert bool(jnp.all(jnp.isfinite(same)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "loss"}, "score: there is no 'loss'"),
        ({"samples": 0}, "samples is 0, expected at least 1"),
        ({"chunk": 0}, "chunk is 0"),
        ({"size": 1}, "size is 1, expected at least 2 cells"),
    ],
)
def test_bad_options_are_named(options, message):
    classifier, image = Partial(linear, jnp.ones((4, 4, 1))), jnp.ones((4, 4, 1))
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda f, x: rise(KEY, f, x, 0, **options), classifier, image)
