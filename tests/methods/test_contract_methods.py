"""The contract over all methods: wrong outputs, targets that are no class, logits not finite."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from test_methods import ASKING, ROWS, explain, seen_through

import fidojax
from fidojax.methods import METHOD_ROWS, METHODS

IMAGE = jax.random.uniform(jax.random.key(7), (12, 12, 3), minval=0.6, maxval=1.0)
FIRST = {}
for _name in ASKING:
    FIRST.setdefault(ROWS[_name][0], _name)
EVERY = pytest.mark.parametrize("name", FIRST.values())
"""The first row of each method that asks the classifier."""
NO_LOGITS = ("varsal", "realtime", "attention_rollout")
SEES = [name for method, name in FIRST.items() if method not in NO_LOGITS]
"""Those that ask it for logits: the others look at its features, or at no part of it."""
SHOWN = [name for name in SEES if ROWS[name][0] not in ("deeplift", "attention_relevance")]
"""Those that show the table's classifiers the image itself, and take any operation."""


def few(name):
    known = inspect.signature(METHODS[ROWS[name][0]]).parameters
    return {option: 2 for option in ("steps", "samples") if option in known}


def one_logit(images):
    return images.mean((1, 2, 3))[:, None]


def several_outputs(images):
    return images.mean((1, 2)), images


@pytest.mark.parametrize("name", SEES)
@pytest.mark.parametrize("classifier", [one_logit, several_outputs])
def test_a_wrong_output_is_refused_by_the_pure_method(name, classifier):
    with pytest.raises((TypeError, ValueError), match="classifier returns"):
        jax.eval_shape(lambda image: explain(name, Partial(classifier), image, **few(name)), IMAGE)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("classifier", "target", "message"),
    [
        (one_logit, 0, "one value per image"),
        (lambda images: images.mean((1, 2)) + 1, 3, r"targets\[0\] is 3, expected 0 to 2"),
        (lambda images: images.mean((1, 2)) + 1, -1, r"targets\[0\] is -1, expected 0 to 2"),
    ],
)
def test_the_engine_refuses_it_for_every_method(name, classifier, target, message):
    with pytest.raises(ValueError, match=message):
        fidojax.explain_batch(name, classifier, np.asarray(IMAGE)[None], [target])


@pytest.mark.parametrize("name", SEES)
@pytest.mark.parametrize("target", [2, -1])
def test_a_target_that_is_no_class(name, target, planted):
    """Refused where it is concrete; NaN everywhere where it is traced."""
    method, options, _ = ROWS[name]

    def run(target):
        given = (jax.random.key(0), seen_through(name, planted), IMAGE, target)
        return METHODS[method](*given, **options | few(name)).saliency

    with pytest.raises(ValueError, match=f"target is {target}, expected 0 to 1"):
        jax.eval_shape(lambda: run(target))
    assert np.isnan(jax.jit(run)(target)).all()


def nan_for_itself(image, images):
    """NaN for the image itself, by a choice that no gradient comes through."""
    logits = jnp.stack([images.mean((1, 2, 3)), 1 - images.mean((1, 2, 3))], axis=-1)
    same = jnp.all(images == image, axis=(1, 2, 3))
    return jnp.where(same[:, None], jnp.nan, logits)


@pytest.mark.parametrize("name", SHOWN)
def test_an_image_without_logits_has_no_map(name):
    classifier = Partial(nan_for_itself, IMAGE)
    found = jax.jit(lambda c, x: explain(name, c, x, **few(name)))(classifier, IMAGE)
    assert not np.isfinite(found.saliency).all()


def test_logits_whose_gradients_overflow_give_no_map():
    def loud(images):
        return 1e30 * jnp.stack([images.mean((1, 2, 3)), images[:, 0, 0, 0]], axis=-1)

    for name in ("fido-ssr", "bbmp-ssr"):
        found = explain(name, Partial(loud), IMAGE, steps=2)
        assert not np.isfinite(found.saliency).all()


def test_the_engine_names_the_maps_that_are_not_finite(planted):
    images = np.stack([IMAGE, 0.5 * IMAGE])
    with pytest.warns(RuntimeWarning, match="1 of 2 maps are not finite.* ids cat"):
        found = fidojax.explain_batch(
            "rise", Partial(nan_for_itself, IMAGE), images, [0, 0],
            options={"samples": 2, "size": 2}, ids=["cat", "dog"],
        )  # fmt: skip
    assert np.isnan(found.saliency[0]).all()
    assert np.isfinite(found.saliency[1]).all()


def test_every_method_is_in_a_table():
    assert {METHOD_ROWS[ROWS[name][0]].name for name in ASKING} == set(FIRST)


@pytest.mark.parametrize("name", ["deeplift", "guided_backprop", "deconvnet"])
def test_new_weights_that_a_function_refers_to_are_seen(name):
    """These compile a program of their own, which must not remember the weights of before."""
    state = {"weights": jnp.array([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]])}

    def classifier(images):
        return images.mean((1, 2)) @ state["weights"]

    image = jnp.full((4, 4, 3), 0.5)
    before = METHODS[name](jax.random.key(0), classifier, image, 0).saliency
    state["weights"] = 2 * state["weights"]
    np.testing.assert_allclose(
        METHODS[name](jax.random.key(0), classifier, image, 0).saliency, 2 * before
    )


@pytest.mark.parametrize("name", ["deeplift", "guided_backprop"])
def test_a_function_may_refer_to_traced_weights(name):
    def one(weights, image):
        def classifier(images):
            return images.mean((1, 2)) @ weights

        return METHODS[name](jax.random.key(0), classifier, image, 0).saliency

    weights = jnp.arange(12.0).reshape(2, 3, 2) + 1
    image = jnp.full((4, 4, 3), 0.5)
    both = jax.jit(jax.vmap(one, (0, None)))(weights, image)
    np.testing.assert_allclose(both[1], one(weights[1], image), rtol=1e-5)
