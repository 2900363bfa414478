"""The table of methods: one row per method, every property over all rows."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attending import attending
from conftest import PLANTED, linear
from jax.tree_util import Partial

import fidojax
from fidojax import methods, presets
from fidojax.core import Split
from fidojax.core.scores import log_odds
from fidojax.methods.fido import sampled_objective
from fidojax.methods.table import LOOPS, METHOD_ROWS, METHODS
from infillers import INFILLERS, local, mean, random

QUICK = {"infill": mean(0.0), "steps": 40}
FIDO = QUICK | {"size": 12, "tv": 0.0, "learning_rate": 0.2, "lam": 0.1}
FADE = {
    "perturbation": "fade", "color": 0.0, "stride": 1, "sigma": 1, "areas": 0.2,
    "area_weight": 10.0, "learning_rate": 0.5, "steps": 40,
}  # fmt: skip
IGOS = {
    "infill": mean(0.0), "size": 12, "tv": 0.0, "steps": 4, "points": 4, "step_size": 100.0,
    "score": "log_odds",
}  # fmt: skip
BOX = jnp.array([[2, 3, 6, 8]])


def brightness(weights, images):
    """An encoder for VarSal that has learned where the planted classifier looks."""
    mean = jnp.einsum("nhwc,hwc->nhw", images, weights)
    return mean, -mean


ENCODER = Partial(brightness, jnp.zeros((12, 12, 3)).at[PLANTED].set(1.0))


def one_level(images):
    return (images,)


def bright(weights, targets, confidence, features):
    """A masker for Realtime that has learned where the planted classifier looks."""
    mask = jnp.einsum("nhwc,hwc->nhw", features, weights)
    return mask, mask - confidence


MASKER = Partial(bright, jnp.zeros((12, 12, 3)).at[PLANTED].set(1 / 3))

# name of the row: (method, options, does it find the pixels that the classifier looks at?)
ROWS = {
    "fido-ssr": ("fido", FIDO, True),
    "fido-sdr": ("fido", FIDO | {"objective": "sdr"}, True),
    "fido-fast": ("fido", {"infill": mean(0.0), "size": 12, "lam": 0.1} | presets.fast, True),
    "fido-random": ("fido", FIDO | {"infill": random()}, True),
    "bbmp-ssr": ("bbmp", QUICK | {"size": 12, "lam": 0.1, "tv": 0.0}, True),
    "bbmp-sdr": ("bbmp", QUICK | {"size": 12, "lam": 0.1, "tv": 0.0, "objective": "sdr"}, True),
    "bbmp-published": (
        "meaningful_perturbation",
        QUICK | {"scale": 1, "mask_blur": 0, "jitter": 0, "init_mask": "random", "lam": 2e-3},
        True,
    ),
    "bbmp-published-circle": ("meaningful_perturbation", QUICK | {"scale": 3}, False),
    "extremal-preserve": ("extremal_perturbation", FADE, False),
    "extremal-delete": ("extremal_perturbation", FADE | {"variant": "delete"}, False),
    "extremal-dual": ("extremal_perturbation", FADE | {"variant": "dual"}, False),
    "igos": ("igos", IGOS, True),
    "igos++": ("igos_pp", IGOS, True),
    "nonlinear": ("nonlinear_saliency", {"steps": 31, "top": 1 - 20 / 144}, True),
    "linear": ("linear_saliency", {"steps": 31, "top": 1 - 20 / 144}, True),
    "occlusion": ("occlusion", {"infill": mean(0.0), "window": 1, "stride": 1}, True),
    "occlusion-sum": ("occlusion", {"window": 3, "stride": 2, "aggregation": "sum"}, False),
    "pda-one-draw": ("pda_one_draw", {"infill": mean(0.0)}, True),
    "pda": ("pda", {"infill": mean(0.0), "window": 1, "samples": 1}, True),
    "rise": ("rise", {"samples": 8000, "size": 12, "score": "logit"}, True),
    "deeplift": ("deeplift", {}, True),
    "deeplift-rescale": ("deeplift", {"rule": "rescale", "infill": mean(0.0)}, True),
    "integrated-gradients": ("integrated_gradients", {"steps": 5, "infill": mean(0.0)}, True),
    "expected-gradients": ("expected_gradients", {"samples": 5, "infill": mean(0.0)}, True),
    "gradient": ("gradient", {}, True),
    "input-x-gradient": ("input_x_gradient", {}, True),
    "smoothgrad": ("smoothgrad", {"samples": 5}, True),
    "smoothgrad-squared": ("smoothgrad_squared", {"samples": 5}, True),
    # Around the plain gradient a linear classifier has no variance.
    "vargrad": ("vargrad", {"samples": 5, "method": "input_x_gradient"}, True),
    "deconvnet": ("deconvnet", {}, True),
    "guided-backprop": ("guided_backprop", {}, True),
    "grad-cam": ("grad_cam", {}, False),
    "grad-cam++": ("grad_cam_pp", {}, False),
    "layer-cam": ("layer_cam", {}, True),
    "hires-cam": ("hires_cam", {}, True),
    "attention-rollout": ("attention_rollout", {}, False),
    "attention-relevance": ("attention_relevance", {}, False),
    "guided-grad-cam": ("guided_grad_cam", {}, True),
    "varsal": ("varsal", {"encoder": ENCODER}, True),
    "realtime": ("realtime", {"masker": MASKER, "features": Partial(one_level)}, True),
    "max-box": ("max_box", {}, False),
    "center-box": ("center_box", {}, False),
    "object-box": ("object_box", {"boxes": BOX}, True),
}
LAST = {"bbmp": 2 * 0.05 / QUICK["steps"]}
"""By how much a map may leave its limits: twice the last learning rate of a mask that is clamped
before each step only."""
TAKES_INFILL = list(
    {method: name for name, (method, options, _) in ROWS.items() if "infill" in options}.values()
)
"""One row of each method that takes an infiller."""
ASKING = [name for name, (method, _, _) in ROWS.items() if not METHOD_ROWS[method].control]
"""The rows whose maps depend on the classifier."""
RANDOM = {"bbmp-published", "rise", "vargrad"}
"""With FIDO those whose key matters here: a linear classifier has the same gradient everywhere."""


@pytest.fixture
def image():
    return jax.random.uniform(jax.random.key(7), (12, 12, 3), minval=0.6, maxval=1.0)


KEY = jax.random.key(0)


def explain(name, classifier, image, key: Any = KEY, **more):
    method, options, _ = ROWS[name]
    classifier = seen_through(name, classifier)
    return METHODS[method](key, classifier, image, 0, **(options | more))


@functools.cache
def program(name):
    """The row's method, compiled: a function of the key, the classifier and the image."""
    return jax.jit(lambda key, classifier, image: explain(name, classifier, image, key))


def pixels(images):
    return images


def seen_through(name, classifier):
    """The classifier, with attention or its pixels as features where the method asks for them."""
    row = METHOD_ROWS[ROWS[name][0]]
    classifier = attending(classifier) if row.attention else classifier
    return Split(Partial(pixels), classifier) if row.features else classifier


def test_every_method_has_a_row():
    assert {method for method, _, _ in ROWS.values()} == set(METHODS)
    assert set(LOOPS) <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_the_one_signature(name):
    parameters = list(inspect.signature(METHODS[name]).parameters.values())
    assert [p.name for p in parameters[:4]] == ["key", "classifier", "image", "target"]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[4:])
    assert {*METHOD_ROWS[name].required} <= {"infill", "boxes", "encoder", "masker"}
    assert "Reference:" in (METHODS[name].__doc__ or "")


@pytest.mark.parametrize("name", ROWS)
def test_map_is_finite_float32_of_the_images_sides(name, planted, image):
    saliency, _ = program(name)(KEY, planted, image)
    assert saliency.shape == (12, 12)
    assert saliency.dtype == jnp.float32
    assert bool(jnp.all(jnp.isfinite(saliency)))
    limits = METHOD_ROWS[ROWS[name][0]].limits
    if limits is not None:
        assert limits[0] <= float(saliency.min()) + LAST.get(ROWS[name][0], 0)
        assert float(saliency.max()) - LAST.get(ROWS[name][0], 0) <= limits[1]


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row[2]])
def test_finds_the_planted_pixels(name, planted, image):
    saliency = np.asarray(program(name)(KEY, planted, image).saliency)
    inside = np.zeros((12, 12), bool)
    inside[PLANTED] = True
    assert saliency[inside].min() > saliency[~inside].max()


@pytest.mark.parametrize("name", ROWS)
def test_jit_equals_eager_and_vmap_equals_a_loop(name, planted, image):
    images = jnp.stack([image, image[::-1], image * 0.8])
    keys = jax.random.split(jax.random.key(3), 3)

    def one(key, image):
        return explain(name, planted, image, key).saliency

    batch = jax.vmap(one)(keys, images)
    for i in range(3):
        alone = program(name)(keys[i], planted, images[i]).saliency
        np.testing.assert_allclose(batch[i], alone, atol=2e-4)


@pytest.mark.parametrize("name", ASKING)
def test_same_key_same_map_and_another_key_another(name, planted, image):
    first, again, other = (
        program(name)(jax.random.key(number), planted, image).saliency for number in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    random = name in RANDOM or name.startswith("fido")
    assert bool(jnp.any(first != other)) == random


@pytest.mark.parametrize("name", TAKES_INFILL)
@pytest.mark.parametrize("infill", [*INFILLERS])
def test_every_method_takes_every_infiller(name, infill, planted, image, small):
    known = inspect.signature(METHODS[ROWS[name][0]]).parameters
    few = {option: 4 for option in ("steps", "samples") if option in known}
    made = small[infill] if infill in small else INFILLERS[infill]()

    @jax.jit
    def compute(made, classifier, image):
        return explain(name, classifier, image, infill=made, **few)

    explanation = compute(made, planted, image)
    assert bool(jnp.all(jnp.isfinite(explanation.saliency)))
    reference = getattr(explanation.info, "reference", image)
    assert reference.shape == image.shape


@pytest.mark.parametrize(("threshold", "shown"), [(0.5, 1.0), (0.6, 1.0), (0.7, 0.0)])
def test_bbmps_infiller_is_shown_what_the_mask_keeps_at_the_threshold(
    planted, image, threshold, shown
):
    """BBMP-CA: the picture mixes by the soft mask, but the infiller sees mask >= tau."""

    def infill(key, image, mask):
        return jnp.broadcast_to(mask[..., None], image.shape)

    options = {"infill": Partial(infill), "start": 0.6, "steps": 1, "threshold": threshold}
    history = METHODS["bbmp"](jax.random.key(0), planted, image, 0, **options).info.objective
    seen = planted((0.6 * image + 0.4 * shown)[None])
    np.testing.assert_allclose(history[0], -log_odds(seen, 0)[0], rtol=1e-5)


@pytest.mark.parametrize("name", ROWS)
def test_new_weights_do_not_retrace(name, image):
    traces = 0

    def counted(weights, images):
        nonlocal traces
        traces += 1
        return linear(weights, images)

    compiled = jax.jit(lambda classifier: explain(name, classifier, image).saliency)
    compiled.eval_shape(Partial(counted, jnp.ones((12, 12, 3))))  # which traces as a call does
    first = traces
    for scale in (0.5, 0.1):
        compiled.eval_shape(Partial(counted, scale * jnp.ones((12, 12, 3))))
    assert traces == first


def test_lambda_sweep_is_one_vmap(planted, image):
    options = {k: v for k, v in FIDO.items() if k != "lam"}

    def area(lam):
        return fidojax.fido(
            jax.random.key(0), planted, image, 0, lam=lam, **options
        ).info.keep.sum()

    areas = jax.jit(jax.vmap(area))(jnp.array([0.0, 0.05, 0.2, 2.0]))
    assert bool(jnp.all(areas[1:] < areas[:-1]))


def test_ensemble_of_classifiers_is_one_vmap(image):
    left = jnp.zeros((12, 12, 3)).at[:, :4].set(0.3)
    right = jnp.zeros((12, 12, 3)).at[:, 8:].set(0.3)
    members = Partial(linear, jnp.stack([left, right]))

    def explain_one(classifier):
        return fidojax.fido(jax.random.key(0), classifier, image, 0, **FIDO).saliency

    maps = np.asarray(jax.jit(jax.vmap(explain_one))(members))
    assert maps[0, :, :4].min() > maps[0, :, 4:].max()
    assert maps[1, :, 8:].min() > maps[1, :, :8].max()


def test_the_mixture_is_what_the_classifier_sees(planted, image):
    saliency, info = explain("fido-ssr", planted, image, infill=local(3))
    hard = np.asarray(info.keep > 0.5)
    np.testing.assert_array_equal(np.asarray(info.mixture)[hard], np.asarray(image)[hard])
    np.testing.assert_array_equal(
        np.asarray(info.mixture)[~hard], np.asarray(info.reference)[~hard]
    )
    seen = jax.nn.softmax(planted(jnp.stack([info.mixture, image])))[:, 0]
    np.testing.assert_allclose([info.probability, info.original], seen, rtol=1e-6)
    np.testing.assert_array_equal(saliency, info.keep)


def test_sdr_map_is_the_dropped_share(planted, image):
    saliency, info = explain("fido-sdr", planted, image)
    np.testing.assert_allclose(saliency, 1 - info.keep, atol=1e-7)
    assert float(info.probability) < float(info.original)


def test_objective_falls(planted, image):
    for name in ("fido-ssr", "fido-sdr", "bbmp-ssr", "bbmp-sdr", "bbmp-published"):
        options = {} if name == "bbmp-published" else {"warmup": 0}
        history = np.asarray(explain(name, planted, image, **options).info.objective)
        assert history.shape == (40,)
        assert history[-5:].mean() < history[:5].mean()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("objective", ["ssr", "sdr"])
def test_gradient_of_the_sampled_objective_equals_finite_differences(objective):
    image = jax.random.uniform(jax.random.key(0), (6, 6, 3), jnp.float64)
    weights = jax.random.normal(jax.random.key(1), (6, 6, 3), jnp.float64)
    theta = jax.random.normal(jax.random.key(2), (3, 3), jnp.float64)
    noise = jax.random.logistic(jax.random.key(3), (4, 6, 6), jnp.float64)

    @jax.jit
    def value(theta):
        keys = jax.random.split(jax.random.key(4), 4)
        return sampled_objective(
            theta, noise, keys, Partial(linear, weights), image, 0,
            infill=mean(0.3), objective=objective, lam=0.02, tv=0.1, temperature=0.5,
        )[0]  # fmt: skip

    grad = jax.jit(jax.grad(value))(theta)
    for i in range(3):
        for j in range(3):
            step = jnp.zeros_like(theta).at[i, j].set(1e-6)
            numeric = (value(theta + step) - value(theta - step)) / 2e-6
            np.testing.assert_allclose(grad[i, j], numeric, rtol=1e-5, atol=1e-8)


def test_no_gradient_through_the_infill(image):
    """The reference image may depend on the mask; the gradient must not see it."""

    def darker(key, image, mask):
        return image * mask.mean()

    weights = jnp.ones((12, 12, 3))
    noise = jax.random.logistic(jax.random.key(0), (2, 12, 12))
    arguments = (noise, jax.random.split(jax.random.key(1), 2), Partial(linear, weights), image, 0)
    options = {"objective": "ssr", "lam": 0.0, "tv": 0.0, "temperature": 0.1}

    def grad(infill):
        def value(theta):
            return sampled_objective(theta, *arguments, infill=infill, **options)[0]

        return jax.jit(jax.grad(value))(jnp.full((12, 12), 20.0) * jnp.sign(noise[0]))

    np.testing.assert_allclose(grad(darker), jnp.zeros((12, 12)), atol=1e-6)


def test_centre_has_half_the_area(planted):
    saliency = fidojax.center_box(jax.random.key(0), planted, jnp.zeros((224, 224, 3)), 0).saliency
    rows = np.flatnonzero(np.asarray(saliency).any(axis=1))
    assert (rows[0], rows[-1]) == (33, 190)  # 158 = 224 / sqrt 2 pixels
    assert float(saliency.sum()) == 158**2


def test_boxes_unite_and_padding_adds_nothing(planted):
    boxes = jnp.array([[-2, 0, 4, 4], [2, 2, 8, 6], [0, 0, 0, 0]])
    saliency = fidojax.object_box(
        jax.random.key(0), planted, jnp.zeros((8, 8, 1)), 0, boxes=boxes
    ).saliency
    assert float(saliency.sum()) == 16 + 24 - 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "both"}, "objective: there is no 'both'; it is one of ssr, sdr"),
        ({"score": "loss"}, "score: there is no 'loss'"),
        ({"schedule": "step"}, "schedule: there is no 'step'"),
        ({"scale": "image"}, "scale: there is no 'image'"),
        ({"samples": 0}, "samples is 0, expected at least 1"),
        ({"steps": 0}, "steps is 0"),
        ({"size": -3}, "size is -3"),
        ({"antithetic": True, "samples": 3}, "expected an even samples, got 3"),
    ],
)
def test_bad_options_are_named(options, message, planted, image):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda f, x: explain("fido-ssr", f, x, **options), planted, image)


@pytest.mark.parametrize("objective", ["ssr", "sdr"])
def test_bbmp_clamps_before_each_step_only(objective, planted, image):
    """The map is that after the last update, which nothing clips; the mask shown is clipped."""
    loop = methods.bbmp_loop(infill=mean(0.0), size=12, steps=3, objective=objective)
    state = loop.init(KEY, planted, image, 0)
    for _ in range(3):
        clamped = state._replace(params=jnp.clip(state.params, 0, 1))
        after, _ = loop.step(planted, image, 0, clamped)
        state, record = loop.step(planted, image, 0, state)
        np.testing.assert_array_equal(state.params, after.params)
    history = jax.tree.map(lambda leaf: leaf[None], record)
    saliency, info = loop.readout(planted, image, 0, state, history)
    np.testing.assert_array_equal(
        saliency, state.params if objective == "ssr" else 1 - state.params
    )
    assert float(jnp.abs(saliency - 0.5).max()) > 0.5
    np.testing.assert_array_equal(info.keep, jnp.clip(state.params, 0, 1))
