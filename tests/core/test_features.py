"""Classifiers that show features, and classifiers under a transform."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import fidojax
from fidojax.core import HasFeatures, Split, Transformed, require_features, untransformed

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(KEY, (3, 6, 6, 2))


def activate(kernel, images):
    return jnp.tanh(images @ kernel)


def pool(activations):
    return activations.mean((1, 2))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(eq=False)  # hashable, as functions are
class Own:
    """A classifier as a user may write one."""

    kernel: Any

    def __call__(self, images):
        return pool(activate(self.kernel, images))

    def tap(self, images):
        return activate(self.kernel, images), pool


@dataclasses.dataclass(frozen=True)
class Counted:
    """A transform that counts how often a function is traced."""

    name: str

    def __call__(self, function):
        def call(inputs):
            TRACES.append(self.name)
            return function(inputs)

        return call


TRACES: list[str] = []
KERNEL = jnp.arange(8.0).reshape(2, 4) / 8


def test_a_class_with_tap_has_features():
    own = Own(KERNEL)
    assert isinstance(own, HasFeatures)
    assert not isinstance(Partial(pool), HasFeatures)
    found = fidojax.grad_cam(KEY, own, IMAGES[0], 1)
    expected = fidojax.grad_cam(KEY, Split(Partial(activate, KERNEL), Partial(pool)), IMAGES[0], 1)
    np.testing.assert_array_equal(found.saliency, expected.saliency)
    assert float(found.saliency.max()) > 0


def test_a_transformed_classifier_shows_the_same_features():
    own = Own(KERNEL)
    plain, head = own.tap(IMAGES)
    whole = Transformed(Transformed(own, jax.checkpoint), Counted("one"))
    np.testing.assert_array_equal(whole(IMAGES), own(IMAGES))
    TRACES.clear()
    activations, rest = whole.tap(IMAGES)
    np.testing.assert_array_equal(activations, plain)
    np.testing.assert_array_equal(rest(2 * activations), head(2 * plain))
    assert TRACES == ["one", "one"], "both parts are transformed"
    assert [leaf.shape for leaf in jax.tree.leaves(whole)] == [KERNEL.shape]


def test_new_weights_and_equal_transforms_do_not_retrace():
    logits = jax.jit(lambda classifier, images: classifier(images))
    TRACES.clear()
    for scale in (1, 2):
        logits(Transformed(Own(scale * KERNEL), Counted("one")), IMAGES)
    assert TRACES == ["one"]
    logits(Transformed(Own(KERNEL), Counted("two")), IMAGES)
    assert TRACES == ["one", "two"]


def test_a_transformed_classifier_without_features_is_refused():
    classifier = Transformed(Transformed(Partial(pool), jax.checkpoint), Counted("one"))
    with pytest.raises(TypeError, match=r"shows no features \(a Partial\): pass fidojax\.Split"):
        require_features(classifier).tap(IMAGES)


def test_transforms_are_left_out_wherever_they_are():
    inner = Transformed(Partial(activate, KERNEL), jax.checkpoint)
    split = Split(Transformed(inner, Counted("one")), Partial(pool))
    plain: Any = untransformed(Transformed(split, jax.checkpoint))
    assert isinstance(plain, Split)
    assert plain.features.func is activate
    assert plain.features.args[0] is KERNEL
    np.testing.assert_array_equal(plain(IMAGES), split(IMAGES))
